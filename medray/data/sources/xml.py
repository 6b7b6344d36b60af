"""XML from outside: no document type, so no entities and no external files; bounded depth.

Expat knows when a document type starts, before it expands anything; the tree builder behind it is the standard one.
"""

from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from medray.data.example import Reason
from medray.data.sources.base import RowError

_MAX_DEPTH = 64


def parse(content: bytes) -> Element:
    """Return the root element. Raises RowError for a document type, too deep nesting or XML that is not well formed."""
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise RowError(Reason.MALFORMED_XML)
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, LookupError, ValueError):
        raise RowError(Reason.MALFORMED_XML) from None
    return builder.close()


def _refuse_doctype(*_: object) -> NoReturn:
    raise RowError(Reason.XML_WITH_DTD)
