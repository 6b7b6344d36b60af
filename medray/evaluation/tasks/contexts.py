"""The passages that questions are about (PubMedQA's abstracts), which examples for training leave behind."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from medray.data.example import Reject
from medray.data.sources import READERS, Unit
from medray.data.sources.files import open_file

_KEYS: Final = ("contexts", "CONTEXTS", "context")
_READERS = {reader.name: reader for reader in READERS}


def contexts(unit: Unit) -> dict[int, str]:
    """Return the passage of each row that has one, by its position in the unit's file."""
    rows = _parquet_rows(unit) if unit.reader == "table-parquet" else _reader_rows(unit)
    found = ((position, _joined(data)) for position, data in rows)
    return {position: text for position, text in found if text}


def _reader_rows(unit: Unit) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for row in _READERS[unit.reader].rows(unit):
        if not isinstance(row, Reject):
            yield row.position, row.data


def _parquet_rows(unit: Unit) -> Iterator[tuple[int, Mapping[str, Any]]]:
    from pyarrow import parquet

    with open_file(unit.locations[0]) as stream:
        file = parquet.ParquetFile(stream)
        columns = [name for name in file.schema_arrow.names if name in _KEYS]
        if not columns:
            return
        table = file.read_row_groups(list(range(unit.start, unit.stop)), columns=columns)
    yield from enumerate(table.to_pylist(), start=unit.first)


def _joined(data: Mapping[str, Any]) -> str:
    value = next((data[key] for key in _KEYS if data.get(key)), "")
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and all(isinstance(part, str) for part in value):
        return "\n".join(value)
    return ""
