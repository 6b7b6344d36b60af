"""What a question is compared by: its profile, and the reasons that keep two apart. Plain data."""

import json
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from medray.errors import InputError

Kind: TypeAlias = Literal[
    "drug",
    "dose",
    "number",
    "negation",
    "direction",
    "population",
    "route",
    "form",
    "frequency",
    "duration",
    "laterality",
    "time",
    "type",
    "role",
    "finding",
    "question",
    "unaccounted",
]
"""Kinds of difference; `unaccounted` is a content word that only one of the questions has."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

Keys: TypeAlias = tuple[str, ...]


class Reason(NamedTuple):
    """Why two questions are not equivalent; `detail` names the sort of thing, never the question's words."""

    kind: Kind
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


class Profile(NamedTuple):
    """The decisive elements of one question, canonical.

    The first fields are sorted (order does not matter), `roles` holds what does: who stands before whom, which word a
    direction or a negation binds to.
    """

    question: Keys
    drug: Keys
    finding: Keys
    dose: Keys
    number: Keys
    negation: Keys
    direction: Keys
    population: Keys
    route: Keys
    form: Keys
    frequency: Keys
    duration: Keys
    laterality: Keys
    time: Keys
    type: Keys
    unaccounted: Keys
    role: Keys

    def encode(self) -> str:
        """Return the profile as JSON, for a store."""
        return json.dumps(self, separators=(",", ":"), ensure_ascii=False)

    @staticmethod
    def decode(text: str) -> "Profile":
        """Read what `encode` wrote. Raises InputError for anything else."""
        try:
            data = json.loads(text)
            fields = [tuple(str(key) for key in keys) for keys in data if isinstance(keys, list)]
        except (ValueError, TypeError):
            fields = []
        if len(fields) != len(Profile._fields):
            raise InputError(
                f"expected a stored profile of {len(Profile._fields)} lists, got another shape: drop the entry"
            )
        return Profile(*fields)
