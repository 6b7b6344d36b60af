"""MedQA (USMLE) as downloaded: JSON lines with `question`, `options` {A..}, `answer_idx`, `meta_info`."""

from medray.data.example import Example, Reason
from medray.data.sources.base import Head, Row, RowError, checked_options, exam, meta_of, text_field
from medray.data.sources.lines import JsonLines, head_objects


class MedQA(JsonLines):
    """The reader."""

    name = format = "medqa"

    def recognises(self, head: Head) -> bool:
        """Tell by the keys of the first lines."""
        return any("question" in item and isinstance(item.get("options"), dict) for item in head_objects(head))

    def example(self, row: Row) -> Example:
        """Turn a row into an exam; `answer_idx` is the letter of the correct option."""
        lettered = row.data.get("options")
        if not isinstance(lettered, dict):
            raise RowError(Reason.BAD_OPTIONS)
        letters = sorted(lettered)
        options = checked_options([lettered[letter] for letter in letters])
        key = row.data.get("answer_idx")
        if key not in letters:
            raise RowError(Reason.NO_KEY)
        return exam(
            row,
            question=text_field(row.data, "question"),
            options=options,
            index=letters.index(key),
            focus="",
            meta=meta_of(row.data, {"step": "meta_info"}),
        )
