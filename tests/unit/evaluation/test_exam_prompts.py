"""Prompts: lm-evaluation-harness's to the character, chats, solved examples, hashes."""

import pytest

from medray.evaluation.prompts import build_prompt, gold, shows_options
from medray.evaluation.schema import Item

OWN = (0, 1, 2, 3)


def exam(family="medqa", **changes):
    fields = {
        "id": f"{family}/1",
        "task": family,
        "kind": "choice",
        "question": "What helps? ",
        "answer": "Water",
        "options": ("Rest", "Water", "Sun", "Cold"),
        "answer_index": 1,
        "stratum": "college_medicine" if family == "mmlu" else "",
        "meta": {"family": family},
    }
    return Item(**{**fields, **changes})


def decision(**changes):
    fields = {
        "id": "pubmedqa/1",
        "task": "pubmedqa",
        "kind": "choice",
        "question": "Does it help?",
        "answer": "It does.",
        "options": ("yes", "no", "maybe"),
        "answer_index": 0,
        "context": "One.\nTwo.",
        "meta": {"family": "pubmedqa"},
    }
    return Item(**{**fields, **changes})


def plain(item, method="letters", order=OWN, **options):
    order = order[: len(item.options)]
    return build_prompt(item, order, style="lm_eval", method=method, **options)


# As lm-evaluation-harness 0.4.13 builds them; its own code is compared in docs/results/evaluation_parity.json.
LM_EVAL = {
    "medqa": "Question: What helps? \nA. Rest\nB. Water\nC. Sun\nD. Cold\nAnswer:",
    "medmcqa": "Question: What helps? \nChoices:\nA. Rest\nB. Water\nC. Sun\nD. Cold\nAnswer:",
    "mmlu": "The following are multiple choice questions (with answers) about college medicine.\n\n"
    "What helps?\nA. Rest\nB. Water\nC. Sun\nD. Cold\nAnswer:",
}


@pytest.mark.parametrize("family", sorted(LM_EVAL))
def test_letters_are_asked_as_lm_eval_asks(family):
    prompt = plain(exam(family))
    assert prompt.text == LM_EVAL[family]
    assert [prompt.delimiter + answer for answer in prompt.answers] == [" A", " B", " C", " D"]


def test_decisions_are_said_and_need_no_letters():
    prompt = plain(decision())
    assert prompt.text == "Abstract: One.\nTwo.\nQuestion: Does it help?\nAnswer:"
    assert prompt.answers == prompt.labels == ("yes", "no", "maybe") and prompt.delimiter == " "
    assert plain(decision(context="")).text == "Question: Does it help?\nAnswer:"
    assert not shows_options(decision(), "letters") and shows_options(exam(), "letters")


def test_option_text_is_scored_without_being_shown():
    prompt = plain(exam(), "text")
    assert prompt.text == "Question: What helps?\nAnswer:"
    assert prompt.answers == ("Rest", "Water", "Sun", "Cold") and prompt.labels == ("A", "B", "C", "D")
    assert plain(exam("mmlu", stratum="")).text.startswith("What helps?")
    assert plain(exam("mmlu"), "text").text.startswith(
        "The following are questions (with answers) about college medicine.\n\nQuestion:"
    )


def test_an_order_moves_options_and_not_letters():
    prompt = plain(exam(), order=(3, 1, 0, 2))
    assert "A. Cold\nB. Water\nC. Rest\nD. Sun\n" in prompt.text and prompt.answers == ("A", "B", "C", "D")
    assert plain(exam(), "text", order=(3, 1, 0, 2)).answers == ("Cold", "Water", "Rest", "Sun")


def test_solved_examples_come_first_with_their_answers():
    shot = exam(id="medqa/9", question="Which?", answer_index=3)
    text = plain(exam(), shots=[shot]).text
    assert text == (
        "Question: Which?\nA. Rest\nB. Water\nC. Sun\nD. Cold\nAnswer: D\n\n"
        "Question: What helps? \nA. Rest\nB. Water\nC. Sun\nD. Cold\nAnswer:"
    )
    assert plain(exam(), "text", shots=[shot]).text.startswith("Question: Which?\nAnswer: Cold\n\nQuestion:")
    described = plain(exam("mmlu"), shots=[exam("mmlu", id="mmlu/9")]).text
    assert described.count("The following are") == 1 and described.startswith("The following are")


def test_chats_have_turns_and_say_what_to_do():
    shot = exam(id="medqa/9", question="Which?", answer_index=3)
    prompt = build_prompt(exam(), OWN, style="chat", method="letters", shots=[shot])
    assert [turn.role for turn in prompt.messages] == ["user", "assistant", "user"]
    assert prompt.messages[1].content == "D" and prompt.text == "" and prompt.delimiter == ""
    assert prompt.messages[2].content == (
        "Question: What helps?\n\nA. Rest\nB. Water\nC. Sun\nD. Cold\n\nAnswer with the letter of the one best option."
    )
    asked = build_prompt(decision(), (0, 1, 2), style="chat", method="letters").messages[-1].content
    assert asked.startswith("Abstract: One.\nTwo.\n\nQuestion:") and asked.endswith("yes, no or maybe.")


def test_an_open_question_is_asked_as_the_served_model_is_asked():
    item = Item("q/1", "medquad", "open", "What is asthma?", "A disease.", category="diagnosis")
    system, user = build_prompt(item, (), style="chat", method="letters").messages
    assert system.role == "system" and user.content == "What is asthma?"
    prompt = build_prompt(item, (), style="lm_eval", method="letters")
    assert prompt.answers == ("A disease.",) and prompt.text == "Question: What is asthma?\nAnswer:"
    assert gold(item, "letters") == "A disease."


def test_the_hash_covers_what_is_shown_and_what_is_scored():
    prompts = [
        plain(exam()),
        plain(exam(), order=(1, 0, 2, 3)),
        plain(exam(), "text"),
        plain(exam(), "text", order=(1, 0, 2, 3)),
        build_prompt(exam(), OWN, style="chat", method="letters"),
    ]
    assert len({prompt.sha256 for prompt in prompts}) == 5 and plain(exam()).sha256 == prompts[0].sha256
