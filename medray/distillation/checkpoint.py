"""A training checkpoint as a folder: adapter, optimiser, and everything of the record up to its step.

The record travels inside, so a resumed run's record has each step once, whatever was lost with the killed process.
No pickle: safetensors, JSON, and torch files read with weights_only.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from medray.distillation.lora import load_adapter, save_adapter
from medray.distillation.record import StepRow, TrainingState, ValidationRow, WorkerRow

ADAPTER = "adapter"
RECORD = "record.jsonl"
_OPTIMISER = "optimiser.pt"
_STATE = "state.json"


def save(folder: Path, *, student: Any, optimiser: torch.optim.Optimizer, state: TrainingState) -> None:
    """Write a checkpoint into an empty folder."""
    save_adapter(student, folder / ADAPTER)
    torch.save(optimiser.state_dict(), folder / _OPTIMISER)
    (folder / RECORD).write_text(_lines(state.rows), encoding="utf-8")
    rest = {
        "step": state.step,
        "validations": [asdict(row) for row in state.validations],
        "workers": [asdict(row) for row in state.workers],
    }
    (folder / _STATE).write_text(json.dumps(rest), encoding="utf-8")


def restore(folder: Path, *, student: Any, optimiser: torch.optim.Optimizer) -> TrainingState:
    """Load a checkpoint into a student and an optimiser of the same config."""
    load_adapter(student, folder / ADAPTER)
    optimiser.load_state_dict(torch.load(folder / _OPTIMISER, weights_only=True, map_location="cpu"))
    return read_state(folder)


def read_state(folder: Path) -> TrainingState:
    """Read what a checkpoint says about the run, without weights."""
    rest = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    lines = (folder / RECORD).read_text(encoding="utf-8").splitlines()
    return TrainingState(
        step=rest["step"],
        rows=[StepRow(**json.loads(line)) for line in lines],
        validations=[ValidationRow(**row) for row in rest["validations"]],
        workers=[WorkerRow(**row) for row in rest["workers"]],
    )


def _lines(rows: list[StepRow]) -> str:
    return "".join(json.dumps(asdict(row)) + "\n" for row in rows)
