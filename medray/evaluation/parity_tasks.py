"""Our items as lm-evaluation-harness's documents and task files: its own prompts and metrics over the same questions.

Letter tasks include lm-eval's task files (medqa, medmcqa, pubmedqa, mmlu's default) and change only where documents
come from. It has option-text tasks for MMLU alone, so those of MedQA and MedMCQA follow its template for MMLU.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from medray.errors import DataError
from medray.evaluation.prompts import Method, is_decision
from medray.evaluation.schema import Item

_CONTINUATION: Final = """output_type: multiple_choice
doc_to_text: "Question: {{question.strip()}}\\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""


def write_task(folder: Path, package: Path, items: Sequence[Item], method: Method) -> dict[str, list[Item]]:
    """Write documents and task files below a folder; return lm-eval's task names with their items in order.

    `package` is lm_eval's tasks folder. Raises DataError for items that lm-eval has no task for.
    """
    made: dict[str, list[Item]] = {}
    for item in items:
        made.setdefault(_name(item, method), []).append(item)
    for name, own in made.items():
        documents = folder / f"{name}.jsonl"
        documents.write_text("".join(json.dumps(_document(item, method)) + "\n" for item in own), encoding="utf-8")
        (folder / f"{name}.yaml").write_text(_task_file(name, own[0], method, documents, package), encoding="utf-8")
    return made


def _name(item: Item, method: Method) -> str:
    part = f"_{item.stratum}" if item.meta.get("family") == "mmlu" else ""
    return f"parity_{item.task}{part}_{method}"


def _task_file(name: str, item: Item, method: Method, documents: Path, package: Path) -> str:
    source = f"dataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {documents}\n"
    splits = "training_split: null\nvalidation_split: null\ntest_split: test\n"
    included = _included(item, method)
    body = f"include: {package / included}\n" if included else _CONTINUATION
    return f"{body}task: {name}\ntask_alias: {name}\n{source}{splits}fewshot_split: null\n"


def _included(item: Item, method: Method) -> str | None:
    family = item.meta.get("family", "")
    if family == "mmlu":
        return f"mmlu/{'default' if method == 'letters' else 'continuation'}/mmlu_{item.stratum}.yaml"
    return f"{family}/{family}.yaml" if method == "letters" else None


def _document(item: Item, method: Method) -> Mapping[str, Any]:
    family = item.meta.get("family", "")
    if family not in _DOCUMENTS or (is_decision(item) and not item.context):
        raise DataError(f"task '{item.task}': expected MedQA, MedMCQA, PubMedQA with passages or MMLU, got another")
    if family == "mmlu" or method == "text":
        return {"question": item.question, "choices": list(item.options), "answer": item.answer_index}
    return _DOCUMENTS[family](item)


def _medqa(item: Item) -> Mapping[str, Any]:
    endings = {f"ending{place}": option for place, option in enumerate(item.options)}
    return {"sent1": item.question, **endings, "label": item.answer_index}


def _medmcqa(item: Item) -> Mapping[str, Any]:
    options = dict(zip(("opa", "opb", "opc", "opd"), item.options, strict=True))
    return {"question": item.question, **options, "cop": item.answer_index}


def _pubmedqa(item: Item) -> Mapping[str, Any]:
    decision = item.options[item.answer_index or 0]
    return {"QUESTION": item.question, "CONTEXTS": item.context.split("\n"), "final_decision": decision}


_DOCUMENTS: Final[Mapping[str, Callable[[Item], Mapping[str, Any]]]] = {
    "medqa": _medqa,
    "medmcqa": _medmcqa,
    "pubmedqa": _pubmedqa,
    "mmlu": _medqa,
}
