"""The student's base model: any model as it is, an adapter artifact merged, or the teacher with fewer layers.

A pure function of the plan's model names, so every worker rebuilds it by itself.
"""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medray.errors import ConfigError
from medray.models import ModelRef, kept_layers, load_model, load_tokenizer, prune_depth, pruned_layers, resolve


@dataclass(frozen=True)
class StudentSource:
    """Where the student comes from: `ref` as it is, or `keep_layers` of it."""

    name: str
    ref: ModelRef
    keep_layers: int | None = None

    @property
    def writes_base(self) -> bool:
        """Whether the base exists nowhere else and must be written into the artifact."""
        return self.keep_layers is not None or self.ref.kind == "adapter"

    @property
    def base_name(self) -> str:
        """What the artifact calls the base model."""
        if self.writes_base:
            return "base"
        return str(Path(self.name).absolute()) if Path(self.name).is_dir() else self.name


def student_source(student: str, teacher: ModelRef) -> StudentSource:
    """Resolve the config's `student`. Raises ConfigError or ModelError; loads no weights."""
    keep = pruned_layers(student)
    source = StudentSource(student, teacher if keep is not None else resolve(student), keep)
    if source.ref.kind == "bitsandbytes":
        raise ConfigError("student: expected full-precision weights to train on, got a quantised model: name its base")
    if keep is not None:
        kept_layers(int(teacher.config_json().get("num_hidden_layers", 0)), keep)
    return source


def load_student_base(source: StudentSource, *, dtype: str, device: str = "cpu") -> Any:
    """Load the student's base model. Raises ModelError."""
    if source.keep_layers is None:
        return load_model(source.ref, dtype=dtype, device=device, merge=True)
    return prune_depth(load_model(source.ref, dtype=dtype, merge=True), source.keep_layers).to(device)


def pruned_from(model: Any, keep_layers: int) -> Any:
    """Return a model of some of the layers of a frozen one, sharing its tensors: a student for no more memory.

    Under LoRA neither changes them; the modules are copies, so adapters reach the student only.
    """
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return prune_depth(copy.deepcopy(model, tensors), keep_layers)


def write_base(source: StudentSource, folder: Path) -> None:
    """Write the student's base model, in its own precision, and tokenizer as a plain folder, all or nothing."""
    if folder.is_dir():
        return
    fresh = folder.with_name(folder.name + ".partial")
    described = source.ref.config_json()
    stored = described.get("dtype") or described.get("torch_dtype")
    dtype = stored if stored in ("bfloat16", "float16") else "float32"
    load_student_base(source, dtype=dtype).save_pretrained(str(fresh))
    load_tokenizer(source.ref).save_pretrained(str(fresh))
    fresh.rename(folder)
