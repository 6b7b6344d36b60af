"""One's own rows as Parquet or JSON lines: `question` with `answer`, or with `options` and `answer` (index from 0).

A `focus` column, where there is one, is the group; `long_answer` stands in for a missing `answer`. Other known columns
(qid, url, explanation, subject, ...) travel in `meta`, unknown ones are left behind.
"""

from collections.abc import Iterator
from typing import Any

from medray.data.example import Example, Reject
from medray.data.sources.base import (
    HEAD_BYTES,
    Head,
    Row,
    Unit,
    checked_index,
    checked_options,
    damaged,
    exam,
    meta_of,
    question_and_answer,
    text_field,
)
from medray.data.sources.files import File, open_file, shown
from medray.data.sources.lines import JsonLines, head_objects, line_ranges
from medray.errors import DataError

_BATCH_ROWS = 1024
_META = {name: name for name in ("url", "focus", "qtype", "explanation", "subject", "topic", "choice_type", "step")}
_META |= {"qid": "qid", "decision": "final_decision"}
_COLUMNS = frozenset({"id", "pmid", "question", "options", "answer", "long_answer", *_META.values()})


def table_example(row: Row) -> Example:
    """Turn a row with the columns above into an example. Raises RowError."""
    data = row.data
    question = text_field(data, "question")
    focus = text_field(data, "focus") if "focus" in data else ""
    meta = meta_of(data, _META)
    qid = data.get("qid") or data.get("id") or data.get("pmid")
    if isinstance(qid, str | int) and not isinstance(qid, bool):
        meta["qid"] = str(qid)
    if data.get("options") is None:
        answer = text_field(data, "answer", "long_answer")
        return question_and_answer(row, question=question, answer=answer, focus=focus, meta=meta)
    options = checked_options(data["options"])
    index = checked_index(data.get("answer"), options)
    return exam(row, question=question, options=options, index=index, focus=focus, meta=meta)


class JsonTable(JsonLines):
    """The reader of JSON lines."""

    name = "table-jsonl"
    format = "table"

    def recognises(self, head: Head) -> bool:
        """Tell by a question; the corpora with lettered options are asked before."""
        return any("question" in item for item in head_objects(head))

    def units(self, file: File, source: str, *, questions_only: bool) -> list[Unit]:
        """Return byte ranges. Raises DataError when none of the first rows has the columns."""
        with open_file(file.location) as stream:
            objects = head_objects(Head(file, stream.read(HEAD_BYTES)))
        _require(source, {name for item in objects for name in item}, questions_only=questions_only)
        return line_ranges(file, self.name, source)

    def example(self, row: Row) -> Example:
        """Turn a row into an example."""
        return table_example(row)


class ParquetTable:
    """The reader of Parquet files, one unit per row group."""

    name = "table-parquet"
    format = "table"
    question_key = "question"

    def recognises(self, head: Head) -> bool:
        """Tell by the magic number."""
        return head.start.startswith(b"PAR1")

    def units(self, file: File, source: str, *, questions_only: bool) -> list[Unit]:
        """Return the row groups. Raises DataError for a damaged footer, missing columns or wrong types."""
        parquet = _open(file.location, source)
        _require(source, set(parquet.schema_arrow.names), questions_only=questions_only)
        _check_types(source, parquet.schema_arrow)
        units, first = [], 1
        for group in range(parquet.num_row_groups):
            units.append(Unit(self.name, (file.location,), (source,), group, group + 1, first))
            first += parquet.metadata.row_group(group).num_rows
        return units

    def rows(self, unit: Unit) -> Iterator[Row | Reject]:
        """Yield the known columns of every row. Raises DataError for damaged pages."""
        import pyarrow as pa

        source, position = unit.sources[0], unit.first
        parquet = _open(unit.locations[0], source)
        columns = [name for name in parquet.schema_arrow.names if name in _COLUMNS]
        groups = list(range(unit.start, unit.stop))
        try:
            for batch in parquet.iter_batches(_BATCH_ROWS, row_groups=groups, columns=columns):
                for data in batch.to_pylist():
                    yield Row(source, position, data)
                    position += 1
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            got = f"{type(error).__name__} near row {position}"
            raise damaged(source, "readable Parquet columns", got) from None

    def example(self, row: Row) -> Example:
        """Turn a row into an example."""
        return table_example(row)


def _open(location: str, source: str) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(open_file(location))
    except (pa.ArrowException, OSError) as error:
        raise damaged(source, "a Parquet file", f"a truncated or damaged one ({type(error).__name__})") from None


def _require(source: str, names: set[str], *, questions_only: bool) -> None:
    answered = questions_only or bool(names & {"answer", "long_answer"})
    if "question" in names and answered:
        return
    listed = ", ".join(sorted(name[:40] for name in names)[:12]) or "none"
    raise DataError(
        f"{shown(source)}: expected columns question and answer, or question, options and answer (index from 0); "
        f"got {listed}: rename the columns"
    )


def _check_types(source: str, schema: Any) -> None:
    from pyarrow import types

    def is_text(kind: Any) -> bool:
        value = kind.value_type if types.is_dictionary(kind) else kind
        return bool(types.is_string(value) or types.is_large_string(value) or types.is_string_view(value))

    exams = "options" in schema.names
    wanted = {"question": (is_text, "text"), "long_answer": (is_text, "text")}
    wanted["answer"] = (
        (lambda kind: types.is_integer(kind) or is_text(kind), "text, or an index") if exams else (is_text, "text")
    )
    for name, (fits, expected) in wanted.items():
        if name in schema.names and not fits(schema.field(name).type) and not types.is_null(schema.field(name).type):
            raise DataError(
                f"{shown(source)}: expected {expected} in column '{name}', got {schema.field(name).type}: convert it"
            )
