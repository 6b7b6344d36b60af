"""Both sides over the same items in turns: ours in this process, lm-evaluation-harness in one of its own."""

import hashlib
import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medray.errors import CapabilityError
from medray.evaluation.loglikelihood import LoglikelihoodScorer
from medray.evaluation.parity import Pair, Turn
from medray.evaluation.prompts import Method, build_prompt
from medray.evaluation.schema import Item, Outcome

_WORKER = Path(__file__).with_name("parity_worker.py")


class Harness:
    """lm-eval's process. Raises CapabilityError when its environment cannot run it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        if process.stdin is None or process.stdout is None:
            raise CapabilityError("expected pipes to lm-eval's process, got none")
        self._asking, self._replies = process.stdin, process.stdout
        self.versions: Mapping[str, str] = self._read()["ready"]

    def answer(self, task: str, start: int, stop: int) -> dict[str, Any]:
        """Return what it finds for a slice of a task's documents."""
        self._asking.write(json.dumps({"task": task, "start": start, "stop": stop}) + "\n")
        self._asking.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = self._replies.readline()
        if not line:
            raise CapabilityError("lm-eval's process ended: run its Python with `import lm_eval` to see why")
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def harness(python: Path, folder: Path, model: str, *, batch: int, threads: int) -> Iterator[Harness]:
    """Start lm-eval over the task files in a folder; it is gone afterwards."""
    command = [str(python), str(_WORKER), str(folder), model, str(batch), str(threads)]
    with (folder / "lm-eval.log").open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            yield Harness(process)
        finally:
            process.kill()
            process.communicate()


def tasks_folder(python: Path) -> Path:
    """Return where lm-eval keeps its task files. Raises CapabilityError when that Python does not have it."""
    code = "import importlib.util as u; print(u.find_spec('lm_eval').submodule_search_locations[0])"
    try:
        found = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise CapabilityError(
            f"expected a Python that has lm-eval at lm_eval_python, got {type(error).__name__}: "
            "make an environment, `pip install lm-eval[hf]` there and name its python"
        ) from None
    return Path(found.stdout.strip()) / "tasks"


def compare(
    scorer: LoglikelihoodScorer,
    theirs: Harness,
    tasks: Mapping[str, Sequence[Item]],
    *,
    method: Method,
    turns: int,
) -> tuple[list[Pair], list[Turn]]:
    """Score all items on both sides, slice by slice; who begins changes with each slice."""
    pairs: list[Pair] = []
    timed: list[Turn] = []
    for name, items in tasks.items():
        size = -(-len(items) // turns)
        for number, start in enumerate(range(0, len(items), size)):
            part = items[start : start + size]
            if number % 2:
                found = theirs.answer(name, start, start + len(part))
                ours, seconds, processor = _ours(scorer, part)
            else:
                ours, seconds, processor = _ours(scorer, part)
                found = theirs.answer(name, start, start + len(part))
            timed.append(Turn(seconds, found["seconds"], processor, found["processor_s"]))
            pairs += _pairs(part, ours, found, start, method)
    return pairs, timed


def _ours(scorer: LoglikelihoodScorer, items: Sequence[Item]) -> tuple[list[Outcome], float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    found = list(scorer.score(items))
    return found, time.perf_counter() - wall, time.process_time() - processor


def _pairs(
    items: Sequence[Item], ours: Sequence[Outcome], theirs: Mapping[str, Any], start: int, method: Method
) -> Iterator[Pair]:
    values: dict[int, dict[int, float]] = {}
    for document, place, value in theirs["rows"]:
        values.setdefault(document, {})[place] = value
    for number, (item, outcome) in enumerate(zip(items, ours, strict=True), start=start):
        judged = theirs["documents"][str(number)]
        options = range(len(item.options))
        yield Pair(
            item_id=item.id,
            ours=tuple(outcome.scores[f"loglikelihood/{place}"] for place in options),
            theirs=tuple(values[number][place] for place in options),
            ours_correct=bool(outcome.correct),
            theirs_correct=bool(judged["acc"]),
            same_prompt=judged["prompt"] == _prompt_hash(item, method),
        )


def _prompt_hash(item: Item, method: Method) -> str:
    prompt = build_prompt(item, tuple(range(len(item.options))), style="lm_eval", method=method)
    shown = json.dumps([prompt.text, [prompt.delimiter + answer for answer in prompt.answers]])
    return hashlib.sha256(shown.encode()).hexdigest()
