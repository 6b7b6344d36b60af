"""The page on parity, rendered from its records; bounds that were missed stand there as missed."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from medray.evaluation.parity import MIN_IDENTICAL, MIN_SPEED, TOLERANCE, verdict
from medray.report import markdown_table, provenance_line

_INTRODUCTION: Final = f"""# Parity with lm-evaluation-harness

The same model answers the same items twice: by `medray.evaluation.loglikelihood`, and by lm-evaluation-harness in an
environment of its own, with its own task files, prompts, tokenisation and metrics. Only where its documents come from
is changed. By *letters* the options are shown and the letters' log-likelihoods compared (for PubMedQA those of yes, no
and maybe); by *text* they are not shown and each option's text is scored, in the form of lm-eval's `mmlu_continuation`.

Bounds: every option's log-likelihood equal to {TOLERANCE:g}; at least {MIN_IDENTICAL:.0%} of predictions identical, and
each that differs explained (the two best options lie closer together than the two sides' rounding); at least
{MIN_SPEED["letters"]} times as fast by letters and {MIN_SPEED["text"]} times by text.

Speed is measured in one run: both processes are loaded before, then answer slices of the items in turns, and who
begins changes with each slice; only answering is timed, tokenisation included. Both sides have the same number of
threads and compute in float32. Batches are those that are faster for each: lm-eval's rows one by one (its default;
eight padded rows took it longer), ours by the number of tokens. What makes the difference is that the head is computed
where an answer is scored and nowhere else, and that a question is read once for all its options. lm-eval reads a
question once too where answers are single tokens, so by letters only the head is left to save.

Seconds by the clock are those of a run on the machine as it was; where others compute on it as well they say who got
the processor, not who needs it less. Seconds of the processor do not depend on that, so both are given, each against
the bound. A record is kept after each comparison, so one of a run that was stopped holds fewer than its command names.
"""


def render(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the page."""
    return "\n".join([_INTRODUCTION, *(_section(record) for record in records)])


def _section(record: Mapping[str, Any]) -> str:
    compared = record["comparisons"]
    versions = record["versions"]
    parts = [
        f"## {record['config']['model']}, {record['config']['threads']} thread each\n",
        "Agreement:\n",
        markdown_table(
            ["task", "by", "items", "options", "same prompts", "largest difference", "same predictions", "accuracy"],
            [_agreement_row(one) for one in compared],
        ),
        "Speed, lm-eval's seconds over ours:\n",
        markdown_table(
            ["task", "by", "clock, s", "lm-eval", "times as fast", "processor, s", "lm-eval ", "times as fast "],
            [_speed_row(one) for one in compared],
        ),
        _differing(compared),
        _verdict(compared),
        f"lm-eval {versions['theirs']['lm_eval']} with torch {versions['theirs']['torch']} and transformers "
        f"{versions['theirs']['transformers']}; here torch {versions['ours']['torch']} and transformers "
        f"{versions['ours']['transformers']}. Items were drawn by seed {record['config']['seed']}"
        f"{_limits(record['config'])}.\n",
        provenance_line(record),
    ]
    return "\n".join(parts)


def _agreement_row(one: Mapping[str, Any]) -> list[object]:
    agreed = one["agreement"]
    share = f"{agreed['identical']} ({agreed['identical'] / agreed['items']:.1%})"
    accuracy = agreed["accuracy"]
    both = f"{accuracy['ours']:.3f} / {accuracy['theirs']:.3f}"
    largest = float(agreed["largest_difference"])
    return [
        one["task"], one["method"], agreed["items"], agreed["options"], agreed["same_prompt"], largest, share, both
    ]  # fmt: skip


def _speed_row(one: Mapping[str, Any]) -> list[object]:
    timed = one["speed"]
    clock, processor = timed["seconds"], timed["processor_seconds"]
    return [
        one["task"],
        one["method"],
        round(clock["ours"], 1),
        round(clock["theirs"], 1),
        f"{timed['ratio']:.2f}",
        round(processor["ours"], 1),
        round(processor["theirs"], 1),
        f"{timed['processor_ratio']:.2f}",
    ]


def _differing(compared: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [entry["item"], one["method"], float(entry["margin"]), float(entry["difference"]), _word(entry["explained"])]
        for one in compared
        for entry in one["agreement"]["differing"]
    ]
    if not rows:
        return "No prediction differs.\n"
    return markdown_table(["item", "by", "lead of our best", "largest difference", "explained by rounding"], rows)


def _verdict(compared: Sequence[Mapping[str, Any]]) -> str:
    missed = [
        f"{one['task']} by {one['method']}: {bound}"
        for one in compared
        for bound, met in verdict(one).items()
        if not met
    ]
    return f"Missed bounds: {'; '.join(missed)}.\n" if missed else "All bounds are met.\n"


def _limits(config: Mapping[str, Any]) -> str:
    letters, text = (config[name] or "all" for name in ("limit", "text_limit"))
    return f": {letters} of each task by letters, {text} by text"


def _word(value: bool) -> str:
    return "yes" if value else "no"
