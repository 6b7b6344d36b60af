"""Figures of answers, one definition a module, each a pure function; docs/metrics.md says what they mean.

Open answers: `concepts` and `overlap` (knowledge coverage, entity F1), `quantities` (doses and numbers), `referral`,
`safety`, `similarity`, `scores` (MAS, COS, TSS), all of them at once in `open_answers`. Outcomes of exams: `retention`
(KRR), `calibration` (ECE), `abstention`. None knows who answered.
"""
