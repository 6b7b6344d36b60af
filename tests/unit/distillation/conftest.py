"""Tiny models and lessons for the distillation tests."""

from pathlib import Path

import numpy as np
import pytest
from distill_samples import lesson, lessons

from medray.distillation.batch import collate
from medray.distillation.encoding import encode
from medray.knowledge.lessons import write_lessons
from medray.models.tiny import tiny_tokenizer


@pytest.fixture(scope="session")
def lesson_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lessons") / "lessons.parquet"
    write_lessons(path, lessons())
    return path


@pytest.fixture(scope="session")
def tokenizer():
    return tiny_tokenizer()


@pytest.fixture(scope="session")
def encoded(tokenizer):
    return encode(lessons(valid=0), tokenizer, max_tokens=128, too_long="truncate")[0]


@pytest.fixture(scope="session")
def encoded_valid(tokenizer):
    return encode([lesson(100 + i, "valid") for i in range(5)], tokenizer, max_tokens=128, too_long="truncate")[0]


@pytest.fixture
def batch(encoded):
    return collate(encoded, np.arange(4), pad_id=0)
