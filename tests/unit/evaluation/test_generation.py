"""Scoring by generated answers: from engines and URLs, in order, bounded, with failures counted."""

import asyncio
import re
import threading
import time

import pytest
from client_server import Script, completion, own_app, served
from fastapi.responses import Response

from medray.errors import ConfigError, DataError
from medray.evaluation.generation import GenerationScorer
from medray.evaluation.generation_answerers import EngineAnswerer, Reply
from medray.evaluation.generation_config import GenerationConfig
from medray.evaluation.schema import Item
from medray.evaluation.shuffle import orders
from medray.inference.engines.fake import FakeConfig, FakeEngine

OPTIONS = ("Naloxone", "Flumazenil", "Atropine", "N-acetylcysteine")
PLAIN = {"open_answers": {"embedder": ""}, "sampling": {"max_tokens": 64}}


def choice(number, **changes):
    values = {
        "id": f"q{number}",
        "task": "exam",
        "kind": "choice",
        "question": f"Number {number}: which antidote is given for a paracetamol overdose?",
        "answer": OPTIONS[3],
        "options": OPTIONS,
        "answer_index": 3,
        "stratum": "toxicology",
        "category": "emergency",
    }
    return Item(**{**values, **changes})


def config(**changes):
    return GenerationConfig.model_validate({**PLAIN, **changes}, strict=False)


class Scripted:
    """An answerer that answers by a function of the last message; counts what runs at once."""

    def __init__(self, answer, delay_s=0.0):
        self.answer_of = answer
        self.delay_s = delay_s
        self.running = self.most = self.asked = 0
        self.closed = False

    async def answer(self, messages, sampling):
        self.asked += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.delay_s(messages) if callable(self.delay_s) else self.delay_s)
            made = self.answer_of(messages[-1].content, sampling)
            return Reply(made, tokens=3, seconds=0.5, cut_off=False)
        finally:
            self.running -= 1

    async def aclose(self):
        self.closed = True


def scored(answer, items, delay_s=0.0, **changes):
    answerer = Scripted(answer, delay_s)
    scorer = GenerationScorer("scripted", config(**changes), answerer=answerer)
    try:
        return list(scorer.score(items)), answerer
    finally:
        scorer.close()
        assert answerer.closed


def right_letter(text, _sampling):
    """Answer with the letter under which the right option is shown."""
    return "Answer: " + re.search(r"^([A-Z])\. N-acetylcysteine$", text, re.MULTILINE)[1]


def test_outcomes_hold_what_was_asked_and_answered():
    (made,), _ = scored(lambda text, sampling: "<think>A?</think>The answer is D.", [choice(1)])
    assert (made.item_id, made.task, made.stratum, made.category) == ("q1", "exam", "toxicology", "emergency")
    assert (made.status, made.letter, made.chosen, made.correct) == ("ok", "D", 3, True)
    assert made.raw_output == "<think>A?</think>The answer is D."
    assert (made.tokens, made.seconds, made.order, made.repeat) == (3, 0.5, (0, 1, 2, 3), 0)
    assert made.scores == {"abstained": 0.0, "cut_off": 0.0}
    assert len(made.prompt_sha256) == 64


def test_what_cannot_be_read_is_wrong_and_says_whether_it_declined():
    answers = iter(["I cannot give medical advice.", "A or D", ""])
    made, _ = scored(lambda text, sampling: next(answers), [choice(n) for n in range(3)], concurrency=1)
    assert [(one.chosen, one.correct, one.letter) for one in made] == [(None, False, "")] * 3
    assert [one.scores["abstained"] for one in made] == [1.0, 0.0, 0.0]


def test_places_are_the_items_own_in_every_order():
    made, answerer = scored(right_letter, [choice(n) for n in range(4)], repeats=6, seed=2)
    assert len(made) == 24 and answerer.asked == 24
    assert all(one.chosen == 3 and one.correct for one in made)
    assert [one.order for one in made[:6]] == orders("q0", 4, 6, 2)
    assert len({one.letter for one in made}) == 4
    assert all("ABCD"[one.order.index(3)] == one.letter for one in made)
    assert len({one.prompt_sha256 for one in made}) == 24


def test_a_constant_letter_is_a_different_option_in_every_order():
    made, _ = scored(lambda text, sampling: "A", [choice(1)], repeats=24)
    assert {one.chosen for one in made} == {0, 1, 2, 3}
    assert sum(one.correct for one in made) == 6


def test_outcomes_come_in_order_and_requests_are_bounded():
    def slow_first(messages):
        return 0.05 if "Number 0:" in messages[-1].content else 0.01

    made, answerer = scored(right_letter, [choice(n) for n in range(20)], slow_first, concurrency=3)
    assert [one.item_id for one in made] == [f"q{n}" for n in range(20)]
    assert answerer.most == 3


def test_a_consumer_that_stops_early_stops_the_rest():
    answerer = Scripted(right_letter, 0.05)
    scorer = GenerationScorer("scripted", config(concurrency=2), answerer=answerer)
    outcomes = scorer.score([choice(n) for n in range(50)])
    next(outcomes)
    outcomes.close()
    time.sleep(0.2)
    assert answerer.asked <= 6
    scorer.close()
    scorer.close()


def test_a_failure_is_an_outcome_that_names_no_text():
    def fail(text, sampling):
        if "Number 1" in text:
            raise ValueError(text)
        return "D"

    made, _ = scored(fail, [choice(n) for n in range(3)], repeats=2)
    assert [one.status for one in made] == ["ok", "ok", "failed", "failed", "ok", "ok"]
    assert (made[2].error, made[2].raw_output, made[2].correct) == ("ValueError", "", False)


def test_what_fails_every_item_is_raised():
    def fail(text, sampling):
        raise ConfigError("the key was refused")

    with pytest.raises(ConfigError):
        scored(fail, [choice(1)])


def test_greedy_answers_to_what_looks_alike_are_asked_once():
    item = choice(1, options=("yes", "no", "maybe"), answer_index=1, answer="no")
    made, answerer = scored(lambda text, sampling: "No, it does not.", [item], repeats=3)
    assert answerer.asked == 1
    assert [(one.repeat, one.letter, one.chosen, one.correct) for one in made] == [(n, "no", 1, True) for n in range(3)]
    seeds = []
    sampling = {"max_tokens": 9, "temperature": 0.7}
    scored(lambda text, own: seeds.append(own.seed) or "no", [item], repeats=3, sampling=sampling)
    assert sorted(seeds) == [0, 1, 2]


def test_open_answers_are_measured_on_the_answer_part():
    item = Item("o1", "medquad", "open", "How is ibuprofen taken?", "Take ibuprofen 400 mg three times daily.")
    (made,), _ = scored(lambda text, sampling: f"<think>Take 4000 mg.</think>{item.answer}", [item])
    assert made.correct is None and made.chosen is None
    assert made.scores["knowledge_coverage"] == made.scores["dose_fidelity"] == 1.0
    assert "mas" not in made.scores  # no embedder
    (thought,), _ = scored(lambda text, sampling: f"<think>{item.answer}", [item])
    assert thought.scores["knowledge_coverage"] == 0.0


def test_solved_examples_need_a_file():
    with pytest.raises(DataError):
        scored(right_letter, [choice(1)], few_shot={"shots": 2})


def test_an_engine_of_our_own():
    engine = FakeEngine(FakeConfig(ttft_s=0.02), answer=lambda messages, adapter, seed: "Answer: D")
    scorer = GenerationScorer("fake", config(), answerer=EngineAnswerer(engine))
    (made,) = scorer.score([choice(1)])
    scorer.close()
    assert made.correct and made.tokens == 4  # four bytes each, the end included
    assert made.seconds >= made.scores["first_token_s"] >= 0.02
    assert made.scores["cut_off"] == 0.0


def test_what_is_cancelled_frees_its_slot():
    engine = FakeEngine(FakeConfig(token_delay_s=0.05, answer_words=200))
    scorer = GenerationScorer("fake", config(concurrency=2), answerer=EngineAnswerer(engine))
    outcomes = scorer.score([choice(n) for n in range(4)])
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), scorer._loop).result()
    timer = threading.Timer(0.3, lambda: scorer._loop.call_soon_threadsafe(engine_cancelled, scorer._loop))
    timer.start()
    first = next(outcomes)
    outcomes.close()
    time.sleep(0.3)
    assert first.status == "failed" and engine.stats().running == 0
    scorer.close()


def engine_cancelled(loop):
    for task in asyncio.all_tasks(loop):
        task.cancel()


def test_an_engine_by_its_config_and_an_answer_cut_off():
    scorer = GenerationScorer("", config(engine="fake", sampling={"max_tokens": 2}))
    (made,) = scorer.score([choice(1)])
    scorer.close()
    assert made.status == "ok" and made.raw_output == "No model"[:8]
    assert made.chosen is None and made.scores["cut_off"] == 1.0


def test_a_url_in_bounded_numbers():
    script = Script(answer=lambda body: completion(right_letter(body["messages"][-1]["content"], None)), delay_s=0.05)
    with served(script.app()) as url:
        scorer = GenerationScorer(url, config(concurrency=4))
        made = list(scorer.score([choice(n) for n in range(16)]))
        scorer.close()
    assert [one.item_id for one in made] == [f"q{n}" for n in range(16)]
    assert all(one.correct and one.tokens for one in made)
    assert script.most_running == 4


def test_a_url_whose_reasoning_comes_apart():
    script = Script(answer=lambda body: completion("The answer is D.", reasoning_content="The answer is A."))
    with served(script.app()) as url:
        scorer = GenerationScorer(url, config())
        (made,) = scorer.score([choice(1)])
        scorer.close()
    assert made.raw_output == "<think>The answer is A.</think>\nThe answer is D."
    assert made.letter == "D"


def test_a_url_that_refuses_one_item_fails_that_item():
    def answer(body):
        return Response(status_code=400) if "Number 1" in body["messages"][-1]["content"] else completion("D")

    script = Script(answer=answer)
    with served(script.app()) as url:
        scorer = GenerationScorer(url, config())
        made = list(scorer.score([choice(n) for n in range(3)]))
        scorer.close()
    assert [(one.status, one.error) for one in made] == [("ok", ""), ("failed", "RequestError"), ("ok", "")]


def test_medrays_own_endpoint_by_url():
    def answer(messages, adapter, seed):
        return right_letter(messages[-1].content, None)

    with served(own_app(answer)) as url:
        scorer = GenerationScorer(url, config(repeats=2))
        made = list(scorer.score([choice(n) for n in range(5)]))
        scorer.close()
    assert len(made) == 10 and all(one.correct for one in made)


def test_a_real_model_writes(tmp_path):
    from medray.models.tiny import save_tiny

    save_tiny(tmp_path / "tiny")
    scorer = GenerationScorer(str(tmp_path / "tiny"), config(device="cpu", sampling={"max_tokens": 5}))
    made = list(scorer.score([choice(1), choice(2)]))
    scorer.close()
    assert [one.status for one in made] == ["ok", "ok"]
    assert all(0 < one.tokens <= 5 for one in made)
