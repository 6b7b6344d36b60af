"""Lessons: a clean example with its split, class and prompt, and the Parquet that holds them.

`Example` in, `Lesson` out: `user` and `system` are what a model is asked, `target` what it should learn to answer.
`load_lessons` is what every later stage reads `data` with: prepared lessons as they are, raw corpora through the same
readers, cleaning and split in process (no duplicates or leaks are looked for there: that is `jobs.prepare`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Final, Literal

from medray import artifacts
from medray.artifacts.storage import is_finished
from medray.data.clean import clean
from medray.data.config import MAX_REJECT_SHARE, LengthBounds
from medray.data.example import Example
from medray.data.sources import open_corpus, read
from medray.data.sources.files import File, open_file, shown, walk
from medray.data.splits import Split, split_of
from medray.data.tally import Tally
from medray.errors import DataError
from medray.knowledge.classification import classify
from medray.knowledge.lexicon import Category
from medray.knowledge.prompts import PROMPT_VERSION, build_messages

KIND: Final = "lessons"
FORMAT_VERSION: Final = "1"
SAMPLE: Final = "sample"
_METADATA_KEY = b"medray.lessons"
_ROW_GROUP_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Lesson:
    """One thing to teach.

    `question` is the whole question text (with lettered options for an exam), `answer` the reference answer, `target`
    the text to learn: the answer, for an exam the correct option and its explanation. `category` and `confidence` are
    K1's, `system` and `user` K2's messages under `prompt_version`.
    """

    id: str
    source: str
    group: str
    split: Split
    question: str
    answer: str
    category: Category
    confidence: float
    system: str
    user: str
    target: str
    prompt_version: str


def lesson_from(example: Example, split: Split) -> Lesson:
    """Return the lesson of a clean example. The class is that of the text a served model would be asked."""
    question = _asked(example)
    found = classify(question)
    system, user = build_messages(question, found.category)
    return Lesson(
        id=example.id,
        source=example.source,
        group=example.group,
        split=split,
        question=question,
        answer=example.answer,
        category=found.category,
        confidence=found.confidence,
        system=system["content"],
        user=user["content"],
        target=_target(example),
        prompt_version=PROMPT_VERSION,
    )


def schema() -> Any:
    """Return the Arrow schema of lesson files, the format version in its metadata."""
    import pyarrow as pa

    columns = [(field.name, pa.float64() if field.name == "confidence" else pa.string()) for field in fields(Lesson)]
    return pa.schema(columns, metadata={_METADATA_KEY: FORMAT_VERSION.encode()})


def write_lessons(path: Path, lessons: Iterable[Lesson]) -> None:
    """Write one lesson file."""
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_pylist([asdict(lesson) for lesson in lessons], schema=schema())
    parquet.write_table(table, path, compression="zstd", row_group_size=_ROW_GROUP_ROWS)


def load_lessons(data: str, *, split: Literal["train", "valid"] | None, valid_share: float, seed: int) -> list[Lesson]:
    """Return the lessons of a split, or all of them, in file order.

    `data` is a prepared artifact (folder or URI), one of its sub-folders or files, any raw corpus, or the word
    `sample`. Prepared lessons keep their split; `valid_share` and `seed` split raw rows. Raises DataError, also when
    the split holds nothing: training or validating on nothing must not look like success.
    """
    found = list(_prepared(data)) if _is_prepared(data) else _raw(data, valid_share, seed)
    kept = [lesson for lesson in found if split in (None, lesson.split)]
    if not kept:
        wanted = "lesson" if split is None else f"lesson of the split '{split}'"
        raise DataError(
            f"{shown(data)}: expected at least one {wanted}, got none of {len(found)}: "
            "give more data, the whole prepared folder, or another valid_share"
        )
    return kept


def packaged_sample() -> str:
    """Return the demonstration questions and answers that the package ships. Its exam questions are for tests only."""
    return str(files("medray.data").joinpath("sample", "qa.jsonl"))


def _asked(example: Example) -> str:
    lettered = [f"{letter}. {option}" for letter, option in zip(ascii_uppercase, example.options, strict=False)]
    return "\n".join([example.question, *lettered])


def _target(example: Example) -> str:
    if example.answer_index is None:
        return example.answer
    chosen = f"{ascii_uppercase[example.answer_index]}. {example.answer}"
    explanation = example.meta.get("explanation", "")
    return f"{chosen}\n\n{explanation}" if explanation else chosen


def _raw(data: str, valid_share: float, seed: int) -> list[Lesson]:
    location = packaged_sample() if data == SAMPLE else data
    bounds = LengthBounds()
    lessons: list[Lesson] = []
    tally = Tally()
    for unit in open_corpus(location):
        for row in read(unit):
            example = clean(row, bounds) if isinstance(row, Example) else row
            tally.add(None if isinstance(example, Example) else example.reason)
            if isinstance(example, Example):
                lessons.append(lesson_from(example, split_of(example.group, seed, valid_share)))
    tally.check(shown(data), MAX_REJECT_SHARE)
    return lessons


def _is_prepared(data: str) -> bool:
    if data == SAMPLE:
        return False
    if is_finished(data):
        return True
    found, _ = walk(data)
    return any(file.suffix == ".parquet" and _lesson_version(file) is not None for file in found[:1])


def _prepared(data: str) -> Iterator[Lesson]:
    location = data
    if is_finished(data):
        folder = artifacts.fetch(data)
        artifacts.read(folder, kind=KIND)
        location = str(folder)
    found, _ = walk(location)
    for file in found:
        if file.suffix == ".parquet":
            yield from _read_file(file)


def _lesson_version(file: File) -> str | None:
    """Return the lesson format version of a Parquet file, None for any other file."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with open_file(file.location) as stream:
            metadata = parquet.read_schema(stream).metadata or {}
    except (pa.ArrowException, OSError):
        return None  # the corpus readers say what is wrong with it
    version = metadata.get(_METADATA_KEY)
    return None if version is None else version.decode()


def _read_file(file: File) -> Iterator[Lesson]:
    import pyarrow as pa
    from pyarrow import parquet

    version = _lesson_version(file)
    if version != FORMAT_VERSION:
        raise DataError(
            f"{shown(file.location)}: expected lesson format {FORMAT_VERSION}, got {version or 'no lesson file'}: "
            "run jobs.prepare again"
        )
    names: Sequence[str] = [field.name for field in fields(Lesson)]
    try:
        with open_file(file.location) as stream:
            for batch in parquet.ParquetFile(stream).iter_batches(columns=names):
                yield from (Lesson(**row) for row in batch.to_pylist())
    except (pa.ArrowException, OSError, TypeError) as error:
        raise DataError(
            f"{shown(file.location)}: expected a lesson file, got a damaged one ({type(error).__name__}): "
            "run jobs.prepare again"
        ) from None
