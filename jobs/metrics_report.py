"""Show what the metrics say of answers whose worth is known, and render docs/metrics.md.

`python -m jobs.metrics_report FILE [MODEL]` measures on references of FILE (medquad rows), also what MODEL writes;
without arguments the page is rendered from what is recorded.
"""

import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from medray.config import config_hash
from medray.errors import MedrayError
from medray.evaluation.generation_config import GenerationConfig, OpenAnswerConfig
from medray.evaluation.metrics.open_answers import OpenAnswerMetrics
from medray.evaluation.metrics.scores import COS_WEIGHTS, MAS_WEIGHTS, TSS_WEIGHTS
from medray.evaluation.schema import Item
from medray.evaluation.tasks import load_items
from medray.report import markdown_table, provenance, provenance_line

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "docs/results/metrics.json"
PAGE = ROOT / "docs/metrics.md"
TEXT = ROOT / "medray/evaluation/metrics/definitions.md"
MEASURES: Final = (
    "knowledge_coverage", "entity_f1", "semantic_similarity", "decisive_recall", "number_fidelity", "safety", "mas",
    "cos", "tss",
)  # fmt: skip
_ITEMS: Final = 40
_WORDS: Final = range(40, 251)
_SEED: Final = 0
_DIGITS: Final = re.compile(r"\d+")
_NEGATIONS: Final = re.compile(r"\b(?:not|no|never|without)\s+", re.IGNORECASE)

Answer = Callable[[Item, Sequence[Item]], str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure if a file is named, and write the page."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given:
            record = measure(given[0], given[1] if len(given) > 1 else "", given)
            RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    except MedrayError as error:
        print(f"jobs.metrics_report: {error}", file=sys.stderr)
        return error.exit_code
    PAGE.write_text(page(json.loads(RECORD.read_text(encoding="utf-8"))), encoding="utf-8")
    return 0


def measure(file: str, model: str, given: Sequence[str]) -> dict[str, Any]:
    """Return mean figures by kind of answer, and over how many references each."""
    config = OpenAnswerConfig()
    measurer = OpenAnswerMetrics(config)
    found = [item for item in load_items({"medquad": file}, limit=None, seed=_SEED) if _fits(item)]
    items = found[:: max(1, len(found) // _ITEMS)][:_ITEMS]
    means: dict[str, dict[str, Any]] = {}
    for name, answer in ANSWERS.items():
        means[name] = _means(measurer.scores(item, answer(item, items)) for item in items)
        print(f"{name}: {means[name].get('mas')}")
    if model:
        means[f"written by {model}"] = _means(_written(model, items))
    source = provenance(
        seed=_SEED, config_hash=config_hash(config), command=("python", "-m", "jobs.metrics_report", *given)
    )
    return {"file": Path(file).name, "references": len(items), "means": means, "provenance": source}


def page(record: Mapping[str, Any]) -> str:
    """Render the definitions and the record."""
    text = TEXT.read_text(encoding="utf-8")
    for name, weights in (("MAS", MAS_WEIGHTS), ("COS", COS_WEIGHTS), ("TSS", TSS_WEIGHTS)):
        terms = " + ".join(f"{weight:g} x {part.replace('_', ' ')}" for part, weight in weights.items())
        text = text.replace(f"{{{name}}}", terms)
    rows = [[name, *(_cell(own.get(measure)) for measure in MEASURES)] for name, own in record["means"].items()]
    counts = record["means"]["the reference"]
    return "\n".join(
        [
            text,
            "## What they say of answers whose worth is known\n",
            f"Means over {record['references']} references of {record['file']} (40 to 250 words, the first of every "
            "few), each against answers made from it. MAS, COS and TSS are of 0 to 10, the others of 0 to 1. The last "
            "row says for how many references a figure applies. SmolLM2-135M wrote at most 96 tokens an answer.\n",
            markdown_table(
                ["answer", *(name.replace("_", " ") for name in MEASURES)],
                [*rows, ["references", *(str(counts[f"{name}/n"]) for name in MEASURES)]],
            ),
            provenance_line(record),
        ]
    )


def _reference(item: Item, _items: Sequence[Item]) -> str:
    return item.answer


def _half(item: Item, _items: Sequence[Item]) -> str:
    words = item.answer.split(" ")
    return " ".join(words[: len(words) // 2])


def _question(item: Item, _items: Sequence[Item]) -> str:
    return item.question


def _others(item: Item, items: Sequence[Item]) -> str:
    return items[(items.index(item) + len(items) // 2) % len(items)].answer


def _numbers(item: Item, _items: Sequence[Item]) -> str:
    return _DIGITS.sub(lambda found: str(2 * int(found[0]) + 1), item.answer)


def _turned(item: Item, _items: Sequence[Item]) -> str:
    return _NEGATIONS.sub("", item.answer)


ANSWERS: Final[Mapping[str, Answer]] = {
    "the reference": _reference,
    "its first half": _half,
    "its numbers changed": _numbers,
    "its negations dropped": _turned,
    "another question's reference": _others,
    "the question repeated": _question,
    "nothing": lambda _item, _items: "",
}


def _fits(item: Item) -> bool:
    return len(item.answer.split()) in _WORDS


def _written(model: str, items: Sequence[Item]) -> Iterable[Mapping[str, float]]:
    from medray.evaluation.generation import GenerationScorer

    config = GenerationConfig.model_validate({"sampling": {"max_tokens": 96}, "device": "cpu"})
    scorer = GenerationScorer(model, config)
    try:
        for outcome in scorer.score(items):
            yield outcome.scores
    finally:
        scorer.close()


def _means(scores: Iterable[Mapping[str, float]]) -> dict[str, Any]:
    values: dict[str, list[float]] = defaultdict(list)
    for one in scores:
        for name in MEASURES:
            if name in one:
                values[name].append(one[name])
    means: dict[str, Any] = {name: round(sum(own) / len(own), 4) for name, own in values.items()}
    return means | {f"{name}/n": len(values[name]) for name in MEASURES}


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
