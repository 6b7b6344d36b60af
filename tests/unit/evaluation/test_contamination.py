"""Which items a corpus gives away: memorised test sets, templates, short questions, passages."""

import json

from medray.data.config import LeakageConfig
from medray.evaluation.contamination import TrainingText, contamination, training_texts
from medray.evaluation.schema import Item
from medray.evaluation.tasks import load_items

EXAM = "medray/data/sample/exam.jsonl"
OPEN = "medray/data/sample/qa.jsonl"
LONG = "A man of forty with a red and swollen knee asks what to take before he walks home again tonight"


def item(number=1, question=LONG, **changes):
    fields = {"id": f"t/{number}", "task": "t", "kind": "choice", "question": question, "answer": "Cold packs"}
    return Item(**{**fields, "options": ("Cold packs", "Heat"), "answer_index": 0, **changes})


def found_in(texts, items, **config):
    rows = [TrainingText(f"row{n}", text) for n, text in enumerate(texts)]
    return contamination(items, rows, LeakageConfig(**config))


def test_a_memorised_test_set_is_caught_whole_and_a_clean_corpus_is_not():
    items = load_items({"exam": EXAM})
    memorised = contamination(items, training_texts([EXAM]))
    assert memorised.affected_ids == {one.id for one in items} - set(memorised.incomparable)
    assert len(memorised.incomparable) == 0 and memorised.rows == 60
    assert all(hit.answer_seen and hit.overlap == 1 for hit in memorised.affected)
    clean = contamination(items, training_texts([OPEN]))
    assert clean.affected == () and clean.rows == 200


def test_half_a_question_is_enough_and_less_is_not():
    words = LONG.split()
    runs = len(words) - 8 + 1
    half = " ".join(words[: runs // 2 + 1 + 7])
    less = " ".join(words[: runs // 2 - 1 + 7])
    assert [hit.row for hit in found_in([less, half], [item()]).affected] == ["row1"]
    assert found_in([less], [item()]).affected == ()
    assert found_in([less], [item()], overlap=0.3).affected != ()


def test_the_row_that_holds_most_is_named_and_whether_it_says_the_answer():
    hit = found_in([LONG[:70], f"{LONG}? Cold packs.", LONG], [item()]).affected
    assert [(h.row, h.overlap, h.answer_seen) for h in hit] == [("row1", 1.0, True)]
    assert not found_in([f"{LONG}? Packs of cold."], [item()]).affected[0].answer_seen


def test_wording_in_another_case_or_punctuation_is_the_same():
    assert found_in([LONG.upper().replace(" ", ",  ")], [item()]).affected_ids == {"t/1"}


def test_short_questions_count_when_held_whole():
    short = item(question="Cause of scurvy is")
    assert found_in(["Say: the cause of scurvy is a lack of vitamin C."], [short]).affected_ids == {"t/1"}
    assert found_in(["The cause of scurvy was a lack of vitamin C."], [short]).affected == ()
    assert found_in(["Why?"], [item(question="Why?")]).incomparable == ("t/1",)


def test_what_many_items_say_gives_none_away():
    frame = "which of the following is the most likely diagnosis in this patient today"
    items = [item(n, f"{frame} {n} {n + 1}") for n in range(30)]
    assert found_in([frame], items).affected == ()


def test_passages_are_compared_too():
    passage = " ".join(f"finding{n} rose" for n in range(30))
    hit = found_in([passage], [item(question="Does it help?", context=passage)]).affected
    assert [h.part for h in hit] == ["passage"]


def test_items_that_ask_the_same_are_all_affected():
    assert found_in([LONG], [item(1), item(2)]).affected_ids == {"t/1", "t/2"}


def test_the_report_counts_items_once_and_holds_no_text():
    passage = " ".join(f"finding{n} rose" for n in range(30))
    report = found_in([f"{LONG} {passage}"], [item(context=passage), item(2, "Another thing altogether?")]).as_json()
    assert report["tasks"] == {"t": {"items": 2, "affected": 1, "share": 0.5}} and len(report["affected"]) == 2
    assert "knee" not in json.dumps(report)


def test_real_corpora_share_some_questions(shared_data):
    items = load_items({"medmcqa": str(shared_data / "medmcqa_valid.parquet")})
    found = contamination(items, training_texts([str(shared_data / "medmcqa_train.parquet")]))
    # Written twice in the corpus itself, and split apart by a hash of the whole question.
    assert 1 <= len(found.affected_ids) <= 20
