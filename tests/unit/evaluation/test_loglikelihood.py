"""The scorer: outcomes in order, orders of options, failures apart, what is chosen and why."""

import json
import math
from dataclasses import replace

import pytest

from medray.evaluation import loglikelihood_model
from medray.evaluation.loglikelihood import LoglikelihoodScorer
from medray.evaluation.loglikelihood_config import LoglikelihoodConfig
from medray.evaluation.loglikelihood_plan import Asking, outcomes, plan
from medray.evaluation.loglikelihood_requests import PromptEncoder
from medray.evaluation.schema import Item
from medray.evaluation.tasks import FewShotConfig, load_items
from medray.models.tiny import save_tiny, tiny_tokenizer

EXAM = "medray/data/sample/exam.jsonl"
OPEN = "medray/data/sample/qa.jsonl"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny(folder)
    return str(folder)


@pytest.fixture(scope="module")
def items():
    return load_items({"exam": EXAM}, limit=6)


def scored(model, items, **options):
    scorer = LoglikelihoodScorer(model, LoglikelihoodConfig(**options))
    try:
        return list(scorer.score(items))
    finally:
        scorer.close()


def asking(**changes):
    return Asking(**{"style": "lm_eval", "method": "text", "repeats": 1, "seed": 0, "normalise": "none", **changes})


def chosen(answers, values, **changes):
    """The outcome of one item whose options got these log-likelihoods, in the file's order."""
    item = Item("exam/1", "exam", "choice", "Which one?", answers[0], tuple(answers), 0)
    encoder = PromptEncoder(tiny_tokenizer())
    planned = plan(item, (), asking(**changes), encoder, 512)
    shown = [[values[place] for place in order] for order in planned.orders]
    return outcomes(planned, shown, 1.0, asking(**changes))


@pytest.mark.parametrize("options", [{"method": "letters"}, {"method": "text"}, {"style": "chat"}])
def test_outcomes_come_in_the_order_given_each_with_its_repeats(tiny, items, options):
    found = scored(tiny, items, repeats=3, window_items=4, **options)
    assert [(o.item_id, o.repeat) for o in found] == [(item.id, n) for item in items for n in range(3)]
    for outcome, item in zip(found[::3], items, strict=True):
        assert outcome.status == "ok" and outcome.order == (0, 1, 2, 3) and outcome.letter in "ABCD"
        assert outcome.correct == (outcome.chosen == item.answer_index) and outcome.seconds > 0
        assert len([name for name in outcome.scores if name.startswith("loglikelihood/")]) == 4


def test_what_is_chosen_is_a_place_of_the_file_in_every_order(tiny, items):
    for outcome in scored(tiny, items, repeats=5, seed=3):
        assert outcome.order["ABCD".index(outcome.letter)] == outcome.chosen
        values = [outcome.scores[f"loglikelihood/{place}"] for place in range(4)]
        assert max(values) == values[outcome.chosen]
    # Where options are not shown their order changes nothing.
    same = scored(tiny, items, repeats=5, method="text")
    assert all(replace(o, repeat=0) == same[number - number % 5] for number, o in enumerate(same))


def test_batches_and_windows_do_not_change_scores(tiny, items):
    together = scored(tiny, items, repeats=2, method="text", batch_tokens=10_000)
    alone = scored(tiny, items, repeats=2, method="text", batch_items=1, window_items=1)
    for left, right in zip(together, alone, strict=True):
        assert left.prompt_sha256 == right.prompt_sha256 and left.chosen == right.chosen
        assert left.scores == pytest.approx(right.scores, abs=1e-4)


def test_length_decides_only_when_asked():
    answers, values = ("no", "not at all, never"), (-3.0, -9.0)
    picked = {how: chosen(answers, values, normalise=how)[0].chosen for how in ("none", "bytes", "characters")}
    assert picked == {"none": 0, "bytes": 1, "characters": 1}
    accents = ("éé", "abc")
    assert chosen(accents, (-5.0, -4.5), normalise="bytes")[0].chosen == 0
    assert chosen(accents, (-5.0, -4.5), normalise="characters")[0].chosen == 1
    assert chosen(accents, (-5.0, -4.5))[0].scores["loglikelihood_per_byte/0"] == -5.0 / 4


def test_of_equal_answers_the_first_as_shown_wins():
    found = chosen("wxyz", (-1.0,) * 4, method="letters", repeats=6)
    assert {outcome.letter for outcome in found} == {"A"} and len({outcome.chosen for outcome in found}) > 1


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_what_is_no_number_is_a_failure_and_wrong(value):
    (outcome,) = chosen("wxyz", (-1.0, value, -2.0, -3.0))
    assert (outcome.status, outcome.error, outcome.correct) == ("failed", "NotFinite", False)
    assert outcome.chosen is None and outcome.letter == ""


def test_an_item_that_fails_does_not_take_its_batch_along(tiny, items, monkeypatch):
    score = loglikelihood_model.AnswerModel.score

    def failing(self, groups):
        if any(len(group) and group[0].context[:1] == (383,) for group in groups):
            raise MemoryError("no text of the item may appear")
        return score(self, groups)

    encode = PromptEncoder.encode

    def marked(self, prompt):
        request = encode(self, prompt)
        return replace(request, context=(383, *request.context)) if items[2].question in prompt.text else request

    monkeypatch.setattr(loglikelihood_model.AnswerModel, "score", failing)
    monkeypatch.setattr(PromptEncoder, "encode", marked)
    found = scored(tiny, items, repeats=2, batch_tokens=100_000)
    assert [o.status for o in found] == ["ok"] * 4 + ["failed"] * 2 + ["ok"] * 6
    assert found[4].error == "MemoryError" and found[4].correct is False and "text" not in json.dumps(found[4].error)


def test_items_too_long_are_cut_and_answers_too_long_fail(tiny):
    long = Item("exam/1", "exam", "choice", "word " * 900, "a", ("a", "b"), 0)
    hopeless = Item("q/1", "q", "open", "Why?", "because " * 900)
    cut, failed = scored(tiny, [long, hopeless])
    assert cut.status == "ok" and cut.scores["cut_tokens"] > 0
    assert failed.status == "failed" and failed.error == "ValueError" and failed.correct is None


def test_a_reference_answer_gets_its_likelihood(tiny):
    item = load_items({"letters": OPEN}, limit=1)[0]
    (outcome,) = scored(tiny, [item])
    total, tokens = outcome.scores["loglikelihood"], outcome.tokens
    assert outcome.chosen is None and outcome.correct is None and outcome.letter == ""
    assert total < 0 and outcome.scores["loglikelihood_per_token"] == pytest.approx(total / tokens)
    assert outcome.scores["loglikelihood_per_byte"] == pytest.approx(total / len(item.answer.encode()))


def test_solved_examples_change_the_prompt_of_every_item(tiny, items):
    few = FewShotConfig(shots=2, files={"exam": EXAM})
    bare, shown = scored(tiny, items), scored(tiny, items, few_shot=few)
    assert all(a.prompt_sha256 != b.prompt_sha256 for a, b in zip(bare, shown, strict=True))
    assert [o.status for o in shown] == ["ok"] * 6


def test_reasoning_that_a_template_opens_is_closed_before_a_letter():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = tokenizer.chat_template.replace("assistant\n{% endif", "assistant\n<think>\n{% endif")
    item = Item("exam/1", "exam", "choice", "Which?", "a", ("a", "b"), 0)
    planned = plan(item, (), asking(style="chat", method="letters"), PromptEncoder(tokenizer), 512)
    assert tokenizer.decode(planned.requests[0].context).endswith("<think>\n</think>\n\n")


def test_a_letter_after_text_is_encoded_with_what_precedes_it():
    tokenizer = tiny_tokenizer()
    item = Item("exam/1", "exam", "choice", "Which?", "a", ("a", "b"), 0)
    planned = plan(item, (), asking(method="letters"), PromptEncoder(tokenizer), 512)
    (request,) = planned.requests
    whole = tokenizer(planned.prompts[0].text + " B")["input_ids"]
    assert [*request.context, *request.answers[1]] == whole


def test_configs_say_what_a_batch_may_take():
    assert LoglikelihoodConfig().tokens_at_once < LoglikelihoodConfig(device="cuda").tokens_at_once
    assert LoglikelihoodConfig(batch_tokens=7).tokens_at_once == 7
