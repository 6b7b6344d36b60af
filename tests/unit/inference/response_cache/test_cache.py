"""The cache's promises: what is found, what never is, and what a hit says."""

import subprocess
import sys

import pytest

from medray.errors import InputError
from medray.inference.response_cache import Answer, CacheConfig, RequestShape, ResponseCache, Scope, replay

QUESTION = "What is the maximum dose of paracetamol?"


def test_an_exact_hit_says_where_it_came_from(make_cache, scope, clock):
    cache = make_cache()
    assert cache.lookup(QUESTION, scope) is None
    assert cache.store(QUESTION, Answer("4 g a day.", tokens=5, prompt_tokens=12), scope)
    clock.now_s += 30
    hit = cache.lookup("what is the  maximum dose of paracetamol", scope)
    assert (hit.answer, hit.tier, hit.kind, hit.similarity) == ("4 g a day.", "memory", "exact", 1.0)
    assert (hit.age_s, hit.artifact, hit.tokens, hit.prompt_tokens) == (30.0, "artifact-1", 5, 12)


def test_a_semantic_hit_needs_similarity_and_equivalence(make_cache, scope):
    cache = make_cache()
    cache.store(QUESTION, "4 g a day.", scope)
    hit = cache.lookup("What is the highest dose of Tylenol?", scope)
    assert (hit.tier, hit.kind) == ("memory", "semantic")
    assert 0.5 <= hit.similarity <= 1.0
    assert cache.lookup("What is the minimum dose of paracetamol?", scope) is None
    assert cache.explain(QUESTION, "What is the minimum dose of paracetamol?") == ["word: 2 differ"]
    assert cache.explain(QUESTION, "the highest dose of Tylenol?") == []


def test_a_second_opinion_can_only_veto(make_cache, scope):
    asked = []

    def veto(a, b):
        asked.append((a, b))
        return True

    cache = make_cache(veto=veto)
    cache.store(QUESTION, "4 g a day.", scope)
    assert cache.lookup("What is the highest dose of Tylenol?", scope) is None
    assert len(asked) == 1
    assert cache.lookup("What is the minimum dose of paracetamol?", scope) is None
    assert len(asked) == 1  # not asked about what the rules refuse
    assert cache.lookup(QUESTION, scope).kind == "exact"


@pytest.mark.parametrize(
    "other",
    [
        Scope("clinic2", "artifact-1", "1", "greedy"),
        Scope("clinic", "artifact-2", "1", "greedy"),
        Scope("clinic", "artifact-1", "2", "greedy"),
        Scope("clinic", "artifact-1", "1", "hot"),
    ],
)
def test_other_scopes_are_out_of_reach(make_cache, scope, other):
    cache = make_cache()
    cache.store(QUESTION, "4 g a day.", scope)
    assert cache.lookup(QUESTION, other) is None
    assert cache.lookup("What is the highest dose of Tylenol?", other) is None


@pytest.mark.parametrize(
    "shape",
    [
        RequestShape(turns=3),
        RequestShape(own_system=True),
        RequestShape(tools=True),
        RequestShape(n=2),
        RequestShape(other=True),
    ],
)
def test_only_plain_requests_are_stored_and_served(make_cache, scope, shape):
    cache = make_cache()
    assert not cache.store(QUESTION, "4 g a day.", scope, shape)
    assert cache.lookup(QUESTION, scope) is None
    cache.store(QUESTION, "4 g a day.", scope)
    assert cache.lookup(QUESTION, scope, shape) is None


@pytest.mark.parametrize(
    "answer", [Answer("4 g", "length"), Answer("4 g", "deadline"), Answer("4 g", "cancelled"), Answer(" "), ""]
)
def test_incomplete_answers_are_not_kept(make_cache, scope, answer):
    cache = make_cache()
    assert not cache.store(QUESTION, answer, scope)
    assert cache.lookup(QUESTION, scope) is None


@pytest.mark.parametrize("question", ["My chest hurts badly", "What dose for my son?", "I am 54, what dose?"])
def test_emergencies_and_personal_questions_stay_out(make_cache, scope, question):
    cache = make_cache()
    assert not cache.store(question, "An answer.", scope)
    assert cache.lookup(question, scope) is None


def test_what_is_no_answer_is_refused(make_cache, scope):
    with pytest.raises(InputError, match="expected an Answer or text, got int"):
        make_cache().store(QUESTION, 4, scope)


def test_entries_expire_by_class(make_cache, scope, clock):
    cache = make_cache(ttl_s=1000.0, ttl_s_by_class={"medication": 10.0})
    medication, other = QUESTION, "What is anatomy about?"
    for question in (medication, other):
        cache.store(question, "An answer.", scope)
    clock.now_s += 11
    assert cache.lookup(medication, scope) is None
    assert cache.lookup(other, scope) is not None
    clock.now_s += 1000
    assert cache.lookup(other, scope) is None
    assert cache.stats()["memory"]["entries"] == 0


def test_a_withdrawn_artifact_never_serves_nor_stores_again(make_cache, scope):
    cache = make_cache()
    cache.store(QUESTION, "4 g a day.", scope, artifact="adapter-7")
    cache.store("What is gout about?", "A disease.", scope)
    cache.invalidate("adapter-7")
    assert cache.lookup(QUESTION, scope) is None
    assert cache.lookup("What is the highest dose of Tylenol?", scope) is None
    assert cache.lookup("What is gout about?", scope) is not None
    assert not cache.store(QUESTION, "4 g a day.", scope, artifact="adapter-7")
    assert cache.store(QUESTION, "4 g a day.", scope, artifact="adapter-8")


def test_withdrawing_the_model_of_a_scope_withdraws_its_answers(make_cache, scope):
    cache = make_cache()
    cache.store(QUESTION, "4 g a day.", scope, artifact="adapter-7")
    cache.invalidate("artifact-1")
    assert cache.lookup(QUESTION, scope) is None


def test_a_class_whose_bound_is_out_of_budget_serves_exact_hits_only(make_cache, scope):
    cache = make_cache(false_hits=5)
    cache.store(QUESTION, "4 g a day.", scope)
    assert cache.lookup(QUESTION, scope).kind == "exact"
    assert cache.lookup("What is the highest dose of Tylenol?", scope) is None
    assert not any(figures["semantic"] for figures in cache.stats()["classes"].values())


def test_nothing_that_is_shown_holds_text(make_cache, scope, capsys):
    cache = make_cache()
    cache.store(QUESTION, "4 g a day.", scope)
    hit = cache.lookup(QUESTION, scope)
    cache.lookup("My paracetamol?", scope)
    shown = repr(hit) + repr(cache.stats()) + repr(Answer("4 g a day.")) + capsys.readouterr().err
    assert "paracetamol" not in shown
    assert "4 g" not in shown


def test_replay_is_the_answer_with_its_counts(make_cache, scope):
    text = "Take  at most 4 g a day,\nspread over the day; less with a damaged liver. " * 3
    cache = make_cache()
    cache.store(QUESTION, Answer(text, tokens=53, prompt_tokens=20), scope)
    deltas = list(replay(cache.lookup(QUESTION, scope)))
    assert "".join(delta.text for delta in deltas) == text
    assert sum(delta.tokens for delta in deltas) == 53
    assert [delta.finish_reason for delta in deltas] == [None] * (len(deltas) - 1) + ["stop"]
    assert deltas[-1].prompt_tokens == 20
    assert len(deltas) > 3


def test_the_package_loads_neither_torch_nor_ray():
    code = (
        "import medray.inference.response_cache as rc, sys; rc.ResponseCache, rc.Scope, rc.replay; "
        "print([m for m in ('torch', 'ray', 'transformers', 'vllm') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_unknown_classes_in_the_config_are_refused():
    with pytest.raises(ValueError, match="expected classes out of"):
        CacheConfig(ttl_s_by_class={"nonsense": 1.0})


def test_the_defaults_need_no_key_and_serve_similar_questions(monkeypatch, scope):
    monkeypatch.delenv("MEDRAY_CACHE_KEY", raising=False)
    with ResponseCache(CacheConfig()) as cache:
        cache.store("What are the side effects of atorvastatin?", "Muscle pain, among others.", scope)
        assert cache.lookup("What are the side effects of Lipitor?", scope).kind == "semantic"
        assert cache.lookup("What are the side effects of simvastatin?", scope) is None
