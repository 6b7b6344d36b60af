"""Corpora in their own formats: which reader a file needs, and the rows it gives.

`open_corpus` detects formats from content and cuts the files into units; `read` turns a unit into examples and
rejects anywhere. Formats: MedQuAD XML, MedQA and MedMCQA JSON lines, PubMedQA JSON, tables of one's own.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from medray.data.config import Format
from medray.data.example import Example, Reject
from medray.data.sources.base import HEAD_BYTES, Head, Reader, RowError, Unit, checked_text
from medray.data.sources.files import File, open_file, shown, walk
from medray.data.sources.medmcqa import MedMCQA
from medray.data.sources.medqa import MedQA
from medray.data.sources.medquad import MedQuAD, bundled
from medray.data.sources.pubmedqa import PubMedQA
from medray.data.sources.table import JsonTable, ParquetTable
from medray.errors import DataError

__all__ = ["READERS", "Unit", "detect", "open_corpus", "questions", "read"]

# The order of detection: a table accepts more than the corpora do, so it comes after them.
READERS: Final[tuple[Reader, ...]] = (ParquetTable(), MedQuAD(), MedMCQA(), MedQA(), PubMedQA(), JsonTable())
_BY_NAME = {reader.name: reader for reader in READERS}
_SUFFIXES = frozenset({".parquet", ".jsonl", ".json"})
_EXPECTED = "MedQuAD XML, MedQA or MedMCQA JSON lines, PubMedQA JSON, or a table with question and answer"
_DOCUMENTS_PROBED = 50


def open_corpus(
    location: str, *, format: Format = "auto", label: str | None = None, questions_only: bool = False
) -> list[Unit]:
    """Detect the format of a file or folder and cut it into units, in the order of file names. Raises DataError.

    `label` names the location in sources; by default it is the last part of its path. `questions_only` accepts tables
    without answers, as test sets often are.
    """
    files, is_folder = walk(location)
    root = label or PurePosixPath(shown(location)).name or "data"
    if not is_folder:
        return _units(files[0], root, format, questions_only=questions_only)
    documents = [file for file in files if file.suffix == ".xml"]
    if documents:
        return _document_units(location, documents, root, format)
    tables = [file for file in files if file.suffix in _SUFFIXES]
    if not tables:
        raise DataError(
            f"expected .xml, .jsonl, .json or .parquet files below {shown(location)}, found none: check the path"
        )
    return [
        unit for file in tables for unit in _units(file, f"{root}/{file.name}", format, questions_only=questions_only)
    ]


def detect(file: File, format: Format = "auto") -> Reader:
    """Return the reader that a file's first bytes call for, among those of `format`. Raises DataError."""
    with open_file(file.location) as stream:
        head = Head(file, stream.read(HEAD_BYTES))
    for reader in READERS:
        if format in ("auto", reader.format) and reader.recognises(head):
            return reader
    expected = _EXPECTED if format == "auto" else f"the format '{format}'"
    raise DataError(f"{shown(file.location)}: expected {expected}, got {_seen(head)}: check the file or `format`")


def read(unit: Unit) -> Iterator[Example | Reject]:
    """Yield what the rows of a unit become, in order. Raises DataError when the file is damaged."""
    reader = _BY_NAME[unit.reader]
    for row in reader.rows(unit):
        if isinstance(row, Reject):
            yield row
            continue
        try:
            yield reader.example(row)
        except RowError as error:
            yield Reject(row.source, row.position, error.reason)


def questions(unit: Unit) -> Iterator[str | Reject]:
    """Yield the questions of a unit, answered or not: what a test set is compared by."""
    reader = _BY_NAME[unit.reader]
    for row in reader.rows(unit):
        if isinstance(row, Reject):
            yield row
            continue
        try:
            yield checked_text(row.data.get(reader.question_key))
        except RowError as error:
            yield Reject(row.source, row.position, error.reason)


def _units(file: File, source: str, format: Format, *, questions_only: bool) -> list[Unit]:
    return detect(file, format).units(file, source, questions_only=questions_only)


def _document_units(location: str, documents: list[File], root: str, format: Format) -> list[Unit]:
    """Return bundles of documents; some of the first must be MedQuAD, later ones are judged one by one."""
    reader = MedQuAD()
    if format not in ("auto", reader.format) or not any(_is_document(file) for file in documents[:_DOCUMENTS_PROBED]):
        expected = "MedQuAD documents" if format in ("auto", reader.format) else f"the format '{format}'"
        raise DataError(f"{shown(location)}: expected {expected}, got other XML files: check the folder or `format`")
    units = [unit for file in documents for unit in reader.units(file, f"{root}/{file.name}", questions_only=False)]
    return bundled(units)


def _is_document(file: File) -> bool:
    with open_file(file.location) as stream:
        return MedQuAD().recognises(Head(file, stream.read(HEAD_BYTES)))


def _seen(head: Head) -> str:
    """Name what a file looks like, without repeating what it says."""
    start = head.start.lstrip()
    if not start:
        return "an empty file"
    if b"\0" in start[:1024]:
        return "binary data"
    names = {b"{": "other JSON", b"[": "a JSON array", b"<": "other XML or HTML"}
    return names.get(start[:1], "plain text or a damaged file")
