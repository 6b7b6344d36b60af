"""Reading the chosen option: hand-labelled outputs, laws, and mutants that the bounds catch."""

import json
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.extraction_report import PAGE, RECORD, measure, page
from medray.errors import DataError
from medray.evaluation import extraction_scores
from medray.evaluation.extraction import Extracted, Section, abstains, answer_section, decision, extract_choice
from medray.evaluation.extraction_scores import count, read_labelled

OPTIONS = ("Naloxone", "Flumazenil", "Atropine", "N-acetylcysteine")


@pytest.fixture(scope="module")
def labelled(root):
    return read_labelled(root / "tests/unit/evaluation/outputs.jsonl")


@pytest.fixture(scope="module")
def blind(root):
    return read_labelled(root / "tests/unit/evaluation/outputs_blind.jsonl")


def good_enough(tally):
    """The bound of the issue."""
    return tally["right"] >= 0.99 * tally["n"] and tally["misread"] == 0 and tally["in_favour"] == 0


def test_hand_labelled_outputs_are_read_right_or_left_unparsed(labelled, blind):
    assert len(labelled) >= 200 and len(blind) == 100
    assert good_enough(count(labelled)), count(labelled)
    assert good_enough(count(blind)), count(blind)


def test_the_sets_hold_what_they_should(labelled, blind):
    for rows in (labelled, blind):
        kinds = {row.kind for row in rows}
        assert {"think", "refusal", "several", "letter", "text", "boxed", "json", "runon"} <= kinds
        assert len({row.id for row in rows}) == len(rows)
        assert sum(row.expected is None for row in rows) >= 0.2 * len(rows)


def _reads_reasoning(monkeypatch):
    monkeypatch.setattr(decision, "answer_section", lambda output: Section(output.replace("<think>", " ")))


def _guesses_a(monkeypatch):
    monkeypatch.setattr(
        extraction_scores,
        "extract_choice",
        lambda output, options: (
            Extracted(0, "A") if extract_choice(output, options).place is None else extract_choice(output, options)
        ),
    )


def _first_letter(monkeypatch):
    def take(output, options):
        found = [letter for letter in output if letter in "ABCDEFGHIJ"[: len(options)]]
        return Extracted("ABCDEFGHIJ".index(found[0]), found[0]) if found else Extracted(None)

    monkeypatch.setattr(extraction_scores, "extract_choice", take)


def _keeps_run_ons(monkeypatch):
    monkeypatch.setattr(decision, "answer_section", lambda output: Section(output.rpartition("</think>")[2]))


@pytest.mark.parametrize("mutate", [_reads_reasoning, _guesses_a, _first_letter, _keeps_run_ons])
def test_mutants_miss_the_bound(labelled, monkeypatch, mutate):
    mutate(monkeypatch)
    assert not good_enough(count(labelled))


REASONING = st.text(alphabet=st.characters(exclude_characters="<>[]|◁"), max_size=200)


@given(REASONING, st.sampled_from("ABCD"))
def test_what_is_thought_never_counts(reasoning, letter):
    said = f"<think>{reasoning} The answer is C.</think>\nThe answer is {letter}."
    assert extract_choice(said, OPTIONS).letter == letter
    assert extract_choice(f"<think>{reasoning} The answer is C.", OPTIONS).reason == "unfinished_reasoning"
    assert extract_choice(f"{reasoning} The answer is C.</think>\n{letter}", OPTIONS).letter == letter


@given(st.text(max_size=300))
def test_any_text_gives_an_option_or_a_reason(output):
    read = extract_choice(output, OPTIONS)
    assert (read.place is None) == bool(read.reason) == (read.letter == "")
    assert read.place is None or 0 <= read.place < len(OPTIONS)


@pytest.mark.parametrize("order", list(permutations(range(4)))[::5])
def test_options_named_by_their_words_are_followed_through_every_order(order):
    shown = [OPTIONS[place] for place in order]
    assert shown[extract_choice("The answer is n-acetylcysteine.", shown).place] == "N-acetylcysteine"
    letter = "ABCD"[shown.index("Atropine")]
    assert extract_choice(f"Answer: {letter}. Atropine", shown).letter == letter
    assert extract_choice(f"Answer: {letter}. Naloxone", shown).place is None


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("", "empty"),
        ("<think>A</think>\n", "empty"),
        ("<think>A", "unfinished_reasoning"),
        ("I cannot give medical advice.", "refused"),
        ("A or B", "several"),
        ("The answer is A. The answer is D.", "several"),
        ("B\n\nThe correct answer is D.", "contradiction"),
        ("Question: Which is the longest bone?\nA. Tibia\nB. Femur\nAnswer: B", "other_question"),
        ("Take care.", "no_option"),
    ],
)
def test_what_is_not_read_says_why(output, reason):
    assert extract_choice(output, OPTIONS) == Extracted(None, "", reason)


def test_letters_mean_nothing_where_words_were_shown():
    words = ("yes", "no", "maybe")
    assert extract_choice("A", words, lettered=False).place is None
    assert extract_choice("No, it does not.", words, lettered=False) == Extracted(1)
    assert extract_choice("B", words).place == 1


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        ("analysisIs it A?assistantfinalThe answer is B", "The answer is B"),
        ("<|channel|>final<|message|>B<|return|>", "B"),
        ("<|im_start|>assistant\nB<|im_end|>", "assistant\nB"),
        ("B\n\nQ: next?", "B"),
        ("Question: this one\nB", "Question: this one\nB"),
    ],
)
def test_the_answer_part(output, answer):
    assert answer_section(output).text == answer


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece", ["A, ", "The answer is B, ", "<think>", "metformin and ", '"answer": ', "<answer>", "**"]
)
def test_endless_repetition_is_read_in_time(piece):
    assert extract_choice(piece * 3000, OPTIONS).place in (None, 0, 1)


@pytest.mark.parametrize(
    ("output", "letter"),
    [
        ("So the answer's B.", "B"),
        ("I'm going with B", "B"),
        ("Naloxone (option C) is the correct answer.", ""),
        ("A. B. C. D.", ""),
        ("The answer is A. B, C and D are wrong.", "A"),
        ("Answer: B\n\nIf he were a child, the answer would be C.", "B"),
        ("Neither A nor B is correct; the answer is D.", "D"),
        ("The answer is: A 35-year-old man", ""),
    ],
)
def test_wordings(output, letter):
    assert extract_choice(output, OPTIONS).letter == letter


def test_declining_is_told_from_answering():
    assert abstains("I don’t know.") and abstains("As an AI, I cannot say.")
    assert not abstains("You cannot take both.") and not abstains("The patient is not able to walk.")


def test_the_page_is_the_record_and_the_record_is_what_the_rules_give(root):
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == page(record)
    files = [root / "tests/unit/evaluation" / name for name in ("outputs.jsonl", "outputs_blind.jsonl")]
    assert measure(files)["sets"] == record["sets"]
    changed = json.loads(json.dumps(record))
    changed["sets"]["blind"]["right"] -= 1
    assert page(changed) != page(record)


def test_a_damaged_file_is_named_without_its_text(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"id": "secret words"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="labelled outputs") as caught:
        read_labelled(tmp_path / "x.jsonl")
    assert "secret" not in str(caught.value)
