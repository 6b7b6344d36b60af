"""JSON lines in byte ranges: every range starts at a line start and knows its line number.

Lines are bounded, so a file without line ends cannot fill the memory. Empty lines are skipped.
"""

import io
import json
from collections.abc import Iterator
from typing import Any

from medray.data.example import Reason, Reject
from medray.data.sources.base import Head, Row, Unit
from medray.data.sources.files import File, chunks, open_file

RANGE_BYTES = 8 << 20
MAX_LINE_BYTES = 1 << 20
_LINES_PROBED = 100
_BOM = b"\xef\xbb\xbf"


def line_ranges(file: File, reader: str, source: str, *, range_bytes: int = RANGE_BYTES) -> list[Unit]:
    """Cut a file into ranges of about `range_bytes` that end at line ends; one sequential pass over the file."""
    units: list[Unit] = []
    start, first, line, offset = 0, 1, 1, 0
    for chunk in chunks(file.location):
        line += chunk.count(b"\n")
        offset += len(chunk)
        last_end = chunk.rfind(b"\n")
        if last_end >= 0 and offset - start >= range_bytes:
            stop = offset - len(chunk) + last_end + 1
            units.append(Unit(reader, (file.location,), (source,), start, stop, first))
            start, first = stop, line
    if start < offset:
        units.append(Unit(reader, (file.location,), (source,), start, offset, first))
    return units


def json_rows(unit: Unit) -> Iterator[Row | Reject]:
    """Yield one row or reject per non-empty line of a range."""
    source = unit.sources[0]
    for position, line in _lines(unit):
        if line is None:
            yield Reject(source, position, Reason.LINE_TOO_LONG)
        elif line.strip():
            value = parse_object(line)
            yield Reject(source, position, value) if isinstance(value, Reason) else Row(source, position, value)


def parse_object(line: bytes) -> dict[str, Any] | Reason:
    """Parse one JSON object, or say what is wrong; nesting is bounded by the interpreter's recursion limit."""
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        return Reason.NOT_UTF8
    except (ValueError, RecursionError):
        return Reason.NOT_JSON
    return value if isinstance(value, dict) else Reason.NOT_AN_OBJECT


def head_objects(head: Head) -> list[dict[str, Any]]:
    """Return the JSON objects among the first lines: some bad lines at the top must not hide a corpus."""
    lines = head.start.removeprefix(_BOM).split(b"\n", _LINES_PROBED)[:_LINES_PROBED]
    return [value for line in lines if isinstance(value := parse_object(line), dict)]


class JsonLines:
    """What readers of JSON lines share: byte ranges and rows."""

    name: str
    question_key = "question"

    def units(self, file: File, source: str, *, questions_only: bool) -> list[Unit]:
        """Return byte ranges; a corpus's own format needs no further check."""
        del questions_only
        return line_ranges(file, self.name, source)

    def rows(self, unit: Unit) -> Iterator[Row | Reject]:
        """Yield one row or reject per non-empty line."""
        return json_rows(unit)


def _lines(unit: Unit) -> Iterator[tuple[int, bytes | None]]:
    """Yield (line number, line or None when it is too long)."""
    with open_file(unit.locations[0]) as raw:
        raw.seek(unit.start)
        stream = io.BufferedReader(raw, MAX_LINE_BYTES)
        left, position = unit.stop - unit.start, unit.first
        while left > 0:
            line = stream.readline(min(left, MAX_LINE_BYTES))
            left -= len(line)
            if not line:
                return
            if line.endswith(b"\n") or left == 0:
                yield position, line.removeprefix(_BOM) if unit.start == 0 and position == 1 else line
            else:
                left -= _skip_line(stream, left)
                yield position, None
            position += 1


def _skip_line(stream: io.BufferedReader, left: int) -> int:
    skipped = 0
    while skipped < left:
        piece = stream.readline(min(left - skipped, MAX_LINE_BYTES))
        skipped += len(piece)
        if not piece or piece.endswith(b"\n"):
            break
    return skipped
