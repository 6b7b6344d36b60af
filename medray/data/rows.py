"""Examples and rejects as Arrow tables: the form in which they lie in Ray's object store between the steps.

`order` is a row's place over all inputs, so that order survives any distribution. A row with a `reason` is a reject; a
row with `damage` stands for a file that cannot be read on, its text an error message.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from medray.data.example import Example, Reason, Reject
from medray.data.sources import Unit, read
from medray.errors import DataError

_UNIT_SHIFT = 32
_CHUNK_ROWS = 1024


class Placed(NamedTuple):
    """A row and its place."""

    order: int
    row: Example | Reject


def raw_schema() -> Any:
    """Return the schema of rows as read."""
    import pyarrow as pa

    return pa.schema(
        [
            ("order", pa.int64()),
            ("source", pa.string()),
            ("position", pa.int64()),
            ("reason", pa.string()),
            ("damage", pa.string()),
            ("id", pa.string()),
            ("kind", pa.string()),
            ("group", pa.string()),
            ("question", pa.string()),
            ("answer", pa.string()),
            ("options", pa.list_(pa.string())),
            ("answer_index", pa.int64()),
            ("meta", pa.string()),
        ]
    )


def keyed_schema() -> Any:
    """Return the schema of cleaned rows with their duplicate keys."""
    import pyarrow as pa

    return raw_schema().append(pa.field("exact", pa.uint64())).append(pa.field("bands", pa.list_(pa.uint64())))


def read_tables(unit: Unit, ordinal: int) -> Iterator[Any]:
    """Yield the rows of a unit as tables of bounded size; damage ends them with a row that says so."""
    import pyarrow as pa

    first = ordinal << _UNIT_SHIFT
    rows: list[dict[str, Any]] = []
    try:
        for index, row in enumerate(read(unit)):
            rows.append(encode(Placed(first + index, row)))
            if len(rows) == _CHUNK_ROWS:
                yield pa.Table.from_pylist(rows, schema=raw_schema())
                rows = []
    except DataError as error:
        rows.append({"order": first, "source": unit.sources[0], "position": 0, "damage": str(error)})
    # An empty table keeps the schema known when a unit has no rows.
    yield pa.Table.from_pylist(rows, schema=raw_schema())


def encode(placed: Placed) -> dict[str, Any]:
    """Return a row as plain values."""
    row = placed.row
    if isinstance(row, Reject):
        return {"order": placed.order, "source": row.source, "position": row.position, "reason": row.reason.value}
    return {
        "order": placed.order,
        "source": row.source,
        "position": row.position,
        "id": row.id,
        "kind": row.kind,
        "group": row.group,
        "question": row.question,
        "answer": row.answer,
        "options": list(row.options),
        "answer_index": row.answer_index,
        "meta": json.dumps(dict(row.meta), sort_keys=True),
    }


def decode(table: Any) -> Iterator[Placed]:
    """Yield the rows of a table."""
    for values in table.to_pylist():
        yield Placed(values["order"], _row(values))


def damage_in(tables: Iterable[Any]) -> str | None:
    """Return the first damage in tables with that column."""
    return next((str(text) for table in tables for text in table["damage"].to_pylist() if text is not None), None)


def _row(values: dict[str, Any]) -> Example | Reject:
    if values["reason"] is not None:
        return Reject(values["source"], values["position"], Reason(values["reason"]))
    return Example(
        id=values["id"],
        source=values["source"],
        position=values["position"],
        kind=values["kind"],
        group=values["group"],
        question=values["question"],
        answer=values["answer"],
        options=tuple(values["options"]),
        answer_index=values["answer_index"],
        meta=json.loads(values["meta"]),
    )
