"""Shared beginnings against one full pass per answer, written here a second time and in float64."""

import random

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, GPT2Config, GPTNeoXConfig, MambaConfig, MistralConfig

from medray.evaluation.loglikelihood_batches import Budget, batches, common_prefix, cuts, positions
from medray.evaluation.loglikelihood_model import AnswerModel
from medray.evaluation.loglikelihood_requests import Request, window
from medray.evaluation.loglikelihood_rows import RowReader
from medray.models.tiny import tiny_model

VOCABULARY = 384
# Exact arithmetic would give 0: both sides sum the same products in another order, in 53 bits.
TOLERANCE = 1e-9
# Mamba computes its logits in float32 whatever its weights are.
TOLERANCES = {"mamba": 1e-4}

SMALL = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
HEADS = {**SMALL, "num_key_value_heads": 2, "intermediate_size": 64, "head_dim": 8}
MODELS = {
    "llama": lambda: tiny_model(),
    "qwen2-untied": lambda: tiny_model(family="qwen2", tied=False),
    "mistral-narrow": lambda: made(MistralConfig(**HEADS, sliding_window=16)),
    "mistral-wide": lambda: made(MistralConfig(**HEADS, sliding_window=256)),
    "gemma2-softcap": lambda: made(Gemma2Config(**HEADS, sliding_window=4096)),
    "gpt2": lambda: made(GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4)),
    "gpt-neox": lambda: made(GPTNeoXConfig(**SMALL, intermediate_size=64)),
    "mamba": lambda: made(MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=4)),
}


def made(config):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def reference(model, context, answer):
    """One forward pass over context and answer; log-softmax at every position."""
    with torch.no_grad():
        logits = model(torch.tensor([list(context) + list(answer)])).logits[0].double()
    table = torch.log_softmax(logits, dim=-1)
    return sum(float(table[len(context) - 1 + at, token]) for at, token in enumerate(answer))


def groups_of(seed, *, start, orders, groups=4):
    chance = random.Random(seed)

    def ids(low, high):
        return tuple(chance.randrange(VOCABULARY) for _ in range(chance.randint(low, high)))

    shared = ids(start, start)
    made = []
    for _ in range(groups):
        stem = shared + ids(1, 40)
        made.append([Request(stem + ids(1, 9), tuple(ids(1, 7) for _ in range(4))) for _ in range(orders)])
    return made


def worst(model, groups, scores):
    expected = [[[reference(model, r.context, a) for a in r.answers] for r in group] for group in groups]
    return max(
        abs(found - wanted)
        for group, row in zip(scores, expected, strict=True)
        for request, values in zip(group, row, strict=True)
        for found, wanted in zip(request, values, strict=True)
    )


@pytest.mark.parametrize("start", [0, 30])
@pytest.mark.parametrize("orders", [1, 3])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_scores_are_those_of_full_passes(name, orders, start):
    model = MODELS[name]().double()
    subject = AnswerModel(model)
    groups = groups_of(orders + start, start=start, orders=orders)
    assert worst(model, groups, subject.score(groups)) < TOLERANCES.get(name, TOLERANCE)
    # A state-space model has no such cache, and in a window of 16 padding pushes tokens out: read answer by answer.
    assert subject.shares == (name not in ("mamba", "mistral-narrow"))


def test_float32_agrees_to_rounding():
    model = tiny_model(layers=8)
    groups = groups_of(5, start=30, orders=2)
    assert worst(model, groups, AnswerModel(model).score(groups)) < 1e-4


def test_the_pinned_model_agrees_with_full_passes_in_float64():
    from medray.models import load_model, resolve
    from medray.models.reference import pulled_folder

    if not (pulled_folder("smollm2-135m") / "config.json").is_file():
        pytest.skip("smollm2-135m is not pulled")
    model = load_model(resolve("smollm2-135m")).double()
    groups = groups_of(2, start=10, orders=2, groups=2)
    assert worst(model, groups, AnswerModel(model).score(groups)) < 1e-8


def test_long_answers_are_read_in_pieces_with_the_same_result(monkeypatch):
    monkeypatch.setattr("medray.evaluation.loglikelihood_model._LOGITS_HELD", 3 * VOCABULARY)
    model = tiny_model().double()
    groups = [[Request(tuple(range(20)), (tuple(range(30, 75)),))], [Request(tuple(range(9)), (tuple(range(80, 99)),))]]
    assert worst(model, groups, AnswerModel(model).score(groups)) < TOLERANCE


def test_the_head_is_computed_where_it_is_needed(monkeypatch):
    seen = []
    model = tiny_model()
    subject = AnswerModel(model)
    model.lm_head.register_forward_hook(lambda module, inputs, output: seen.append(output.shape[:2].numel()))
    letters = [[Request(tuple(range(n, n + 60)), ((1,), (2,), (3,), (4,)))] for n in range(3)]
    subject.score(letters)
    assert sum(seen) == 3


def test_a_beginning_is_read_once():
    read = []
    model = tiny_model()
    subject = AnswerModel(model)
    model.model.register_forward_pre_hook(
        lambda module, inputs, options: read.append(options["input_ids"].numel()), with_kwargs=True
    )
    context, answers = tuple(range(100)), ((1, 2), (3, 4), (5, 6), (7, 8))
    subject.score([[Request(context, answers)]])
    assert sum(read) == 100 + 4  # the last token of an answer is never read
    read.clear()
    order = [Request((*context, 200 + n), ((1,), (2,))) for n in range(4)]
    subject.score([order])
    assert sum(read) == 100 + 4


# Mutants: each breaks one thing that the scores rest on; the comparison above must notice.
def _without(name):
    def mutant(monkeypatch):
        forward = RowReader._forward

        def broken(self, ids, mask, positions, cache, **options):
            mask, positions = (torch.ones_like(mask), positions) if name == "mask" else (mask, positions * 0)
            return forward(self, ids, mask, positions, cache, **options)

        monkeypatch.setattr(RowReader, "_forward", broken)

    return mutant


def _wrong_parent(monkeypatch):
    branch = "medray.evaluation.loglikelihood_rows._branch"
    from medray.evaluation import loglikelihood_rows

    right = loglikelihood_rows._branch
    monkeypatch.setattr(branch, lambda cache, parents: right(cache, [0] * len(parents)))


def _off_by_one(monkeypatch):
    tails = RowReader.tails
    monkeypatch.setattr(
        RowReader,
        "tails",
        lambda self, rows, parents, answers, piece: tails(self, rows, parents, [a[:-1] for a in answers], piece),
    )


@pytest.mark.parametrize("mutant", [_without("mask"), _without("positions"), _wrong_parent, _off_by_one])
def test_mutants_are_noticed(mutant, monkeypatch):
    model = tiny_model().double()
    subject = AnswerModel(model)
    groups = groups_of(3, start=30, orders=2)
    mutant(monkeypatch)
    assert worst(model, groups, subject.score(groups)) > 1e-3
    assert not AnswerModel(model).shares  # and so does the probe, which then reads answers whole


def test_a_model_that_fails_the_probe_is_still_scored_right(monkeypatch):
    _without("mask")(monkeypatch)
    model = tiny_model().double()
    groups = groups_of(3, start=30, orders=2)
    assert worst(model, groups, AnswerModel(model).score(groups)) < TOLERANCE


def test_batches_hold_each_group_once_within_the_budget():
    groups = groups_of(1, start=0, orders=2, groups=40)
    made = list(batches(groups, Budget(items=5, tokens=300, positions=900)))
    assert sorted(place for batch in made for place in batch) == list(range(40))
    assert max(map(len, made)) == 5
    for batch in made:
        requests = [request for place in batch for request in groups[place]]
        widest = max(positions(request) for request in requests)
        held = sum(len(request.answers) for request in requests)
        assert len(batch) <= 5 and (len(batch) == 1 or (widest * len(requests) <= 300 and widest * held <= 900))
    assert [len(batch) for batch in batches(groups, Budget(1, 10**9, 10**9))] == [1] * 40
    assert list(batches([], Budget(3, 9, 9))) == []


def test_letters_hold_no_keys_for_each_answer():
    letters = [[Request(tuple(range(10)), ((1,), (2,), (3,)))]] * 4
    words = [[Request(tuple(range(10)), ((1, 5), (2,), (3,)))]] * 4
    assert [len(b) for b in batches(letters, Budget(9, 44, 44))] == [4]
    assert [len(b) for b in batches(words, Budget(9, 48, 48))] == [1, 1, 1, 1]


def test_cuts_leave_each_context_an_id_and_pay():
    same = Request(tuple(range(50)), ((1,),))
    assert common_prefix([same.context, same.context[:7], (0, 1, 9)]) == 2
    assert cuts([[same], [same]], worth=49) == (49, [])
    assert cuts([[same], [same]], worth=50) == (0, [])
    assert cuts([[same, same, same]], worth=98) == (0, [49])
    assert cuts([[same, same, same]], worth=99) == (0, [])
    assert cuts([[same]], worth=1) == (0, [])


def test_contexts_are_cut_from_their_start_where_positions_end():
    request = Request(tuple(range(20)), ((1,), (2, 3, 4)))
    assert window(request, 22) == [request]
    first, second = window(request, 10)
    assert first == Request(tuple(range(10, 20)), ((1,),)) and second == Request(tuple(range(12, 20)), ((2, 3, 4),))
    with pytest.raises(ValueError, match="longer one"):
        window(request, 2)
