"""Small corpora in the original formats, written by the tests, and examples for pure functions."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import settings
from pyarrow import parquet

from medray.data.example import Example

# A busy machine is no falsifying example.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

MEDQUAD = """<?xml version="1.0" encoding="UTF-8"?>
<Document id="{number}" source="Test" url="https://example.org/{number}">
<Focus>{focus}</Focus>
<FocusAnnotations><Category>Disease</Category></FocusAnnotations>
<QAPairs>
 <QAPair pid="1">
  <Question qid="{number}-1" qtype="information">What is {focus} ?</Question>
  <Answer>{answer}</Answer>
 </QAPair>
 <QAPair pid="2">
  <Question qid="{number}-2" qtype="treatment">How is {focus} treated ?</Question>
  <Answer></Answer>
 </QAPair>
</QAPairs>
</Document>
"""


def medquad_folder(folder: Path, focuses: list[str]) -> Path:
    for number, focus in enumerate(focuses):
        inner = folder / f"{number % 2 + 1}_Test_QA"
        inner.mkdir(parents=True, exist_ok=True)
        answer = f"{focus} is a condition that the test describes in a sentence about {focus}."
        text = MEDQUAD.format(number=number, focus=focus, answer=answer)
        (inner / f"{number:07d}.xml").write_text(text, encoding="utf-8")
    return folder


def lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def table(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    parquet.write_table(pa.Table.from_pylist(rows), path, **options)
    return path


def medqa_row(key: str = "B") -> dict[str, Any]:
    return {
        "question": "Which vitamin prevents scurvy?",
        "options": {"A": "Vitamin A", "B": "Vitamin C", "C": "Vitamin D", "D": "Vitamin K"},
        "answer": "Vitamin C",
        "answer_idx": key,
        "meta_info": "step1",
        "metamap_phrases": [],
    }


def medmcqa_row(cop: Any = 2) -> dict[str, Any]:
    return {
        "id": "x-1",
        "question": "Which vitamin prevents scurvy?",
        "opa": "Vitamin A",
        "opb": "Vitamin C",
        "opc": "Vitamin D",
        "opd": "Vitamin K",
        "cop": cop,
        "exp": "Ascorbic acid is needed for collagen.",
        "subject_name": "Biochemistry",
        "topic_name": None,
        "choice_type": "single",
    }


PUBMEDQA = {
    "111": {"QUESTION": "Does it work?", "CONTEXTS": ["a"], "LONG_ANSWER": "It seems to.", "final_decision": "yes"},
    "222": {"QUESTION": "Does it hurt?", "CONTEXTS": ["b"], "LONG_ANSWER": "It does not.", "final_decision": "no"},
}


def qa(question: str, answer: str, **fields: Any) -> Example:
    return Example(
        id="x#1", source="x", position=1, kind="qa", group=question, question=question, answer=answer, **fields
    )
