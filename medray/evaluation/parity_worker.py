"""Runs in lm-evaluation-harness's own environment, never in ours: answers slices of its tasks on standard input.

`python parity_worker.py FOLDER MODEL BATCH THREADS`. FOLDER holds its task files. A line `{"task", "start", "stop"}`
asks for those documents; the reply is a line of seconds and of rows [document, place, log-likelihood], with lm-eval's
own accuracies and the hashes of its prompts. No text of a question leaves this process.
"""

import contextlib
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def main(arguments: Sequence[str]) -> None:
    """Load the model and the tasks, then answer until the input ends."""
    folder, name, batch, threads = arguments
    replies = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # lm-eval and its libraries print; replies are read line by line
        import torch

        torch.set_num_threads(int(threads))
        model, tasks = _load(Path(folder), name, int(batch))
        print(json.dumps({"ready": _versions()}), file=replies, flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            found = _answer(model, tasks[asked["task"]], asked["start"], asked["stop"])
            print(json.dumps(found), file=replies, flush=True)


def _load(folder: Path, name: str, batch: int) -> tuple[Any, dict[str, Any]]:
    from lm_eval.models.huggingface import HFLM  # type: ignore[import-not-found]
    from lm_eval.tasks import TaskManager, get_task_dict  # type: ignore[import-not-found]

    model = HFLM(pretrained=name, dtype="float32", device="cpu", batch_size=batch)
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    tasks = get_task_dict([path.stem for path in sorted(folder.glob("*.yaml"))], manager)
    for task in tasks.values():
        task.build_all_requests(limit=None, rank=0, world_size=1)
    return model, tasks


def _answer(model: Any, task: Any, start: int, stop: int) -> dict[str, Any]:
    instances = [instance for instance in task.instances if start <= instance.doc_id < stop]
    wall, processor = time.perf_counter(), time.process_time()
    found = model.loglikelihood(instances, disable_tqdm=True)
    seconds, processor_s = time.perf_counter() - wall, time.process_time() - processor
    rows: list[list[Any]] = []
    documents: dict[int, dict[str, Any]] = {}
    for instance, (value, _) in zip(instances, found, strict=True):
        context, answer = instance.args
        rows.append([instance.doc_id, instance.idx, value])
        entry = documents.setdefault(instance.doc_id, {"doc": instance.doc, "context": context, "answers": []})
        entry["answers"].append((answer, value))
    judged = {number: _judged(task, entry) for number, entry in documents.items()}
    return {"seconds": seconds, "processor_s": processor_s, "rows": rows, "documents": judged}


def _judged(task: Any, entry: dict[str, Any]) -> dict[str, Any]:
    metrics = task.process_results(entry["doc"], [(value, False) for _, value in entry["answers"]])
    shown = json.dumps([entry["context"], [answer for answer, _ in entry["answers"]]])
    return {"prompt": hashlib.sha256(shown.encode()).hexdigest(), "acc": metrics["acc"]}


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("lm_eval", "torch", "transformers")}


if __name__ == "__main__":
    main(sys.argv[1:])
