"""PubMedQA as downloaded: one JSON object keyed by PMID, values with `QUESTION`, `LONG_ANSWER`, `final_decision`.

The file is one value, so it is one unit; the corpus itself is small.
"""

import json
from collections.abc import Iterator

from medray.data.example import Example, Reason, Reject
from medray.data.sources.base import Head, Row, Unit, damaged, meta_of, question_and_answer, text_field
from medray.data.sources.files import File, open_file


class PubMedQA:
    """The reader."""

    name = format = "pubmedqa"
    question_key = "QUESTION"

    def recognises(self, head: Head) -> bool:
        """Tell by an object with upper-case keys."""
        return head.start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{" and b'"QUESTION"' in head.start

    def units(self, file: File, source: str, *, questions_only: bool) -> list[Unit]:
        """Return the file as one unit."""
        del questions_only
        return [Unit(self.name, (file.location,), (source,))]

    def rows(self, unit: Unit) -> Iterator[Row | Reject]:
        """Yield the articles in file order. Raises DataError when the file is not one JSON object."""
        source = unit.sources[0]
        with open_file(unit.locations[0]) as stream:
            content = stream.read()
        try:
            articles = json.loads(content.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise damaged(source, "one JSON object keyed by PMID", type(error).__name__) from None
        if not isinstance(articles, dict):
            raise damaged(source, "one JSON object keyed by PMID", type(articles).__name__)
        for position, (pmid, article) in enumerate(articles.items(), start=1):
            if isinstance(article, dict):
                yield Row(source, position, {**article, "pmid": pmid})
            else:
                yield Reject(source, position, Reason.NOT_AN_OBJECT)

    def example(self, row: Row) -> Example:
        """Turn an article into an example; the conclusion is the answer."""
        return question_and_answer(
            row,
            question=text_field(row.data, "QUESTION"),
            answer=text_field(row.data, "LONG_ANSWER"),
            focus="",
            meta=meta_of(row.data, {"qid": "pmid", "decision": "final_decision"}),
        )
