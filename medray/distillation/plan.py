"""Everything about a run that can be known and refused before a cluster starts or a weight is loaded."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from medray.artifacts import hash_bytes
from medray.data.splits import Split
from medray.distillation.config import DistillConfig
from medray.distillation.encoding import EncodedLessons, EncodingCounts, encode
from medray.distillation.lora import require_targets
from medray.distillation.order import TrainingOrder, permutation
from medray.distillation.student import StudentSource, student_source
from medray.errors import ConfigError, DataError, ModelError
from medray.knowledge.lessons import Lesson, load_lessons
from medray.models import ModelRef, load_tokenizer, prune_depth, resolve, same_tokenizer, tokenizer_hash
from medray.models.identity import content_identity


@dataclass(frozen=True)
class Plan:
    """A checked run. `inputs` names each input by its hash, for the artifact's lineage."""

    config: DistillConfig
    teacher: ModelRef
    student: StudentSource
    train: EncodedLessons
    valid: EncodedLessons
    train_counts: EncodingCounts
    valid_counts: EncodingCounts
    total_steps: int
    pad_id: int
    tokenizer_hash: str
    inputs: dict[str, str]


def make_plan(config: DistillConfig) -> Plan:
    """Resolve models, compare tokenizers, read and encode the data. Raises an InputError for anything unusable."""
    teacher = resolve(config.teacher)
    student = student_source(config.student, teacher)
    tokenizer = load_tokenizer(student.ref)
    _require_one_tokenizer(config, teacher, student, tokenizer)
    _require_shape(config, student, tokenizer)
    lessons = load_lessons(config.data, split=None, valid_share=config.valid_share, seed=config.seed)
    train, train_counts = _rows(config, lessons, "train", tokenizer)
    valid, valid_counts = _rows(config, lessons, "valid", tokenizer)
    order = TrainingOrder(seed=config.seed, rows=len(train), global_batch_size=config.global_batch_size)
    return Plan(
        config=config,
        teacher=teacher,
        student=student,
        train=train,
        valid=valid,
        train_counts=train_counts,
        valid_counts=valid_counts,
        total_steps=config.steps or order.total_steps(config.epochs),
        pad_id=int(tokenizer.pad_token_id),
        tokenizer_hash=tokenizer_hash(tokenizer),
        inputs={
            "teacher": content_identity(teacher),
            "student": content_identity(student.ref),
            "data": hash_bytes(train.fingerprint().encode(), valid.fingerprint().encode()),
        },
    )


def _require_one_tokenizer(config: DistillConfig, teacher: ModelRef, student: StudentSource, tokenizer: Any) -> None:
    """Token ids go to both models, so they must mean the same text in both."""
    if not config.wants_teacher or student.ref == teacher:
        return
    if not same_tokenizer(load_tokenizer(teacher), tokenizer):
        raise ConfigError(
            f"expected one tokenizer for the KL term, got two: {config.teacher} and {config.student} map text to "
            "different ids; choose a pair of one family, or set loss.kl=0 and validation.kl=false"
        )


def _require_shape(config: DistillConfig, student: StudentSource, tokenizer: Any) -> None:
    """Check window, vocabulary, layers and adapter targets on the architecture alone."""
    described = student.ref.config_json()
    window = described.get("max_position_embeddings")
    if isinstance(window, int) and config.max_tokens > window:
        raise ConfigError(f"max_tokens: expected at most {window} (the student's window), got {config.max_tokens}")
    vocabulary = described.get("vocab_size")
    if isinstance(vocabulary, int) and len(tokenizer) > vocabulary:
        raise ModelError(f"{student.name}: the tokenizer has {len(tokenizer)} tokens, the model only {vocabulary}")
    outline = _outline(student.ref)
    if student.keep_layers is not None:
        prune_depth(outline, student.keep_layers)
    require_targets(outline, config.lora)


def _outline(ref: ModelRef) -> Any:
    """Build the model without weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    source = ref.base or ref
    try:
        described = AutoConfig.from_pretrained(source.path, trust_remote_code=False)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(described)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{ref.name}: expected a known causal language model, got {type(error).__name__}") from None


def _rows(
    config: DistillConfig, lessons: list[Lesson], split: Split, tokenizer: Any
) -> tuple[EncodedLessons, EncodingCounts]:
    chosen = [lesson for lesson in lessons if lesson.split == split]
    if split == "valid":
        # A random subset, but the same in every run: files often group rows by subject.
        order = permutation(config.seed, 0, len(chosen))[: config.validation.rows]
        chosen = [chosen[index] for index in np.sort(order)]
    encoded, counts = encode(chosen, tokenizer, max_tokens=config.max_tokens, too_long=config.too_long)
    if not len(encoded):
        why = "none fits max_tokens" if chosen else "there are none: check `data` and `valid_share`"
        raise DataError(f"expected {split} rows in `data`, {why} ({counts.as_dict()})")
    return encoded, counts
