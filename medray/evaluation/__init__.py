"""Evaluation: how good a model is at medicine, with intervals, and whether one is better than another.

`schema` holds what goes in and out (`Item`, `Outcome`, the `Scorer` protocol), `tasks` makes items from exam files,
`loglikelihood` and `generation` are the scorers, `extraction` reads a letter out of an answer, `metrics` turns
outcomes into figures, `runner` does a run that can be killed and resumed. May import every stage; none imports it.
"""
