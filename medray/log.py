"""Structured logs that cannot hold question or answer text.

`event(name, **fields)` writes one JSON line to standard error. Fields are numbers, booleans or short names
(identifiers, paths, categories); any longer or free-form string is replaced by its length, whoever passed it and from
whatever depth. The event name is a constant in the caller's code.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

# A name: no white space, so a sentence can never pass; bounded, so an encoded one cannot either.
_NAME = re.compile(r"[\w.:/@+=\[\],-]{1,120}")
_OWN_FIELDS = frozenset({"event", "level", "timestamp"})


def event(name: str, /, *, level: str = "info", **fields: object) -> None:
    """Write one event. `name` is a short constant like "replica_ready"."""
    getattr(_logger(), level)(name, **fields)


def safe(value: object) -> object:
    """Return the value if it may be logged, else what kind of thing was withheld and how long it was."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if _NAME.fullmatch(value) else f"<withheld: {len(value)} characters>"
    if isinstance(value, list | tuple):
        return [safe(item) for item in value]
    if isinstance(value, dict):
        return {safe(str(key)): safe(item) for key, item in value.items()}
    if isinstance(value, BaseException):
        return type(value).__name__  # its message may quote the input
    return f"<withheld: {type(value).__name__}>"


def _withhold(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in list(fields):
        if key not in _OWN_FIELDS:
            fields[key] = safe(fields[key])
    fields["event"] = safe(fields["event"])
    return fields


def _logger() -> Any:
    return structlog.wrap_logger(
        structlog.PrintLogger(file=sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _withhold,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
