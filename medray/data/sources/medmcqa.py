"""MedMCQA as downloaded: JSON lines with `question`, `opa`..`opd`, `cop` (1-based), `exp`, `subject_name`."""

from medray.data.example import Example, Reason
from medray.data.sources.base import (
    Head,
    Row,
    RowError,
    checked_index,
    checked_options,
    exam,
    meta_of,
    text_field,
)
from medray.data.sources.lines import JsonLines, head_objects

_META = {
    "qid": "id",
    "explanation": "exp",
    "subject": "subject_name",
    "topic": "topic_name",
    "choice_type": "choice_type",
}


class MedMCQA(JsonLines):
    """The reader."""

    name = format = "medmcqa"

    def recognises(self, head: Head) -> bool:
        """Tell by the keys of the first lines."""
        return any({"question", "opa", "opb"} <= item.keys() for item in head_objects(head))

    def example(self, row: Row) -> Example:
        """Turn a row into an exam; `cop` counts from 1."""
        options = checked_options([row.data.get(key) for key in ("opa", "opb", "opc", "opd")])
        place = row.data.get("cop")
        # 0 and absence both mean that the corpus keeps the key to itself (its test set).
        if isinstance(place, bool) or not isinstance(place, int) or place < 1:
            raise RowError(Reason.NO_KEY)
        return exam(
            row,
            question=text_field(row.data, "question"),
            options=options,
            index=checked_index(place - 1, options),
            focus="",
            meta=meta_of(row.data, _META),
        )
