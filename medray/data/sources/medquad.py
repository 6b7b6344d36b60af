"""MedQuAD as downloaded: folders of XML, one document a file.

`Document/@source,@url`, `Focus`, `QAPairs/QAPair/{Question/@qid,@qtype, Answer}`. Three of its twelve folders come
without answers: their rows are empty, not bad. A damaged document is one reject; the others are read.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from medray.data.example import Example, Reason, Reject
from medray.data.sources import xml
from medray.data.sources.base import Head, Row, RowError, Unit, meta_of, question_and_answer, text_field
from medray.data.sources.files import File, open_file

DOCUMENTS_PER_UNIT = 200
_MAX_DOCUMENT_BYTES = 16 << 20


class MedQuAD:
    """The reader."""

    name = format = "medquad"
    question_key = "question"

    def recognises(self, head: Head) -> bool:
        """Tell by the root element, somewhere near the start."""
        return b"<Document" in head.start[: 64 << 10]

    def units(self, file: File, source: str, *, questions_only: bool) -> list[Unit]:
        """Return the document as one unit; see `bundled`."""
        del questions_only
        return [Unit(self.name, (file.location,), (source,))]

    def rows(self, unit: Unit) -> Iterator[Row | Reject]:
        """Yield the pairs of each document, or one reject for a document that cannot be read."""
        for location, source in zip(unit.locations, unit.sources, strict=True):
            try:
                yield from _pairs(location, source)
            except RowError as error:
                yield Reject(source, 1, error.reason)

    def example(self, row: Row) -> Example:
        """Turn a pair into an example; the document's focus is its group."""
        return question_and_answer(
            row,
            question=text_field(row.data, "question"),
            answer=text_field(row.data, "answer"),
            focus=text_field(row.data, "focus"),
            meta=meta_of(row.data, {name: name for name in ("qid", "qtype", "url", "focus", "publisher")}),
        )


def bundled(units: list[Unit]) -> list[Unit]:
    """Join one-document units, so that a task reads many small files."""
    return [
        Unit(
            MedQuAD.name,
            tuple(location for unit in units[start : start + DOCUMENTS_PER_UNIT] for location in unit.locations),
            tuple(source for unit in units[start : start + DOCUMENTS_PER_UNIT] for source in unit.sources),
        )
        for start in range(0, len(units), DOCUMENTS_PER_UNIT)
    ]


def _pairs(location: str, source: str) -> list[Row]:
    with open_file(location) as stream:
        content = stream.read(_MAX_DOCUMENT_BYTES + 1)
    if len(content) > _MAX_DOCUMENT_BYTES:
        raise RowError(Reason.FILE_TOO_LARGE)
    document = xml.parse(content)
    if document.tag != "Document":
        raise RowError(Reason.MALFORMED_XML)
    shared = {
        "publisher": document.get("source", ""),
        "url": document.get("url", ""),
        "focus": _text(document.find("Focus")),
    }
    pairs = document.findall("QAPairs/QAPair")
    return [Row(source, position, {**shared, **_pair(pair)}) for position, pair in enumerate(pairs, start=1)]


def _pair(pair: Element) -> dict[str, str]:
    question, answer = pair.find("Question"), pair.find("Answer")
    found = {"answer": _text(answer)}
    if question is not None:
        found |= {"question": _text(question), "qid": question.get("qid", ""), "qtype": question.get("qtype", "")}
    return found


def _text(element: Element | None) -> str:
    return "" if element is None else "".join(element.itertext())
