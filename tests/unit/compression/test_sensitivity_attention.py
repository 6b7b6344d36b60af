"""Marks against the characters that they stand on, and attention shares against a computation by hand."""

import math

import pytest
import torch
from sensitivity_rows import LESSONS, ROWS, FakeLesson

from medray.compression.rows import Row
from medray.compression.sensitivity.attention import attention_share
from medray.compression.sensitivity.marks import Marked, mark
from medray.distillation.encoding import encode
from medray.errors import DataError, ModelError
from medray.models import load_model, load_tokenizer


@pytest.fixture(scope="module")
def tokenizer(base):
    return load_tokenizer(base)


def text_of(marked, tokenizer, kind, *, answer):
    start = marked.row.answer_start
    places = range(start, len(marked.marks)) if answer else range(start)
    return "".join(tokenizer.decode([marked.row.ids[at]]) for at in places if marked.marks[at] == kind)


def test_terms_and_numbers_of_question_and_answer_are_marked_and_nothing_else(tokenizer):
    (marked,) = mark(LESSONS[:1], tokenizer, rows=1, max_tokens=400, seed=0)
    assert "asthma" in text_of(marked, tokenizer, "term", answer=False)
    assert "ibuprofen" in text_of(marked, tokenizer, "term", answer=True)
    assert "400" in text_of(marked, tokenizer, "number", answer=True)
    for word in ("careful", "Take", "glass", "<|im"):
        assert word not in text_of(marked, tokenizer, "term", answer=True) + text_of(
            marked, tokenizer, "term", answer=False
        )
    assert marked.targets == tuple(at for at, kind in enumerate(marked.marks) if kind and at >= marked.row.answer_start)


def test_rows_are_those_of_the_training_encoding_and_the_same_for_a_seed(tokenizer):
    rows = mark(LESSONS, tokenizer, rows=3, max_tokens=400, seed=5)
    encoded, _ = encode(LESSONS, tokenizer, max_tokens=400, too_long="truncate")
    known = {tuple(encoded.row(at).tolist()) for at in range(len(encoded))}
    assert {one.row.ids for one in rows} <= known
    assert rows == mark(LESSONS, tokenizer, rows=3, max_tokens=400, seed=5)
    assert all(len(one.marks) == len(one.row.ids) for one in rows)


def test_a_cut_answer_keeps_its_marks(tokenizer):
    (whole,) = mark(LESSONS[:1], tokenizer, rows=1, max_tokens=400, seed=0)
    cut_at = whole.targets[len(whole.targets) // 2] + 1
    (cut,) = mark(LESSONS[:1], tokenizer, rows=1, max_tokens=cut_at, seed=0)
    assert cut.marks == whole.marks[:cut_at]


def test_answers_without_terms_are_left_out_and_none_at_all_is_an_error(tokenizer):
    plain = FakeLesson("p", "You are careful.", "Who is there?", "Nobody is there at all, and that is well.")
    assert len(mark([plain, LESSONS[0]], tokenizer, rows=2, max_tokens=400, seed=0)) == 1
    with pytest.raises(DataError, match="medical terms"):
        mark([plain], tokenizer, rows=1, max_tokens=400, seed=0)


def by_hand(model, rows, kind):
    """The share with loops over the full attention matrices that transformers hands out."""
    layers, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    sums, uniform, count = [[0.0] * heads for _ in range(layers)], 0.0, 0
    for marked in rows:
        with torch.no_grad():
            maps = model(torch.tensor([marked.row.ids]), output_attentions=True).attentions
        places = [at for at, one in enumerate(marked.marks) if one == kind]
        for query in range(marked.row.answer_start - 1, len(marked.row.ids) - 1):
            count += 1
            uniform += sum(place <= query for place in places) / (query + 1)
            for layer in range(layers):
                for head in range(heads):
                    sums[layer][head] += sum(float(maps[layer][0, head, query, place]) for place in places)
    return [[total / count for total in line] for line in sums], uniform / count, count


@pytest.mark.parametrize("kind", ["term", "number"])
def test_shares_are_those_computed_by_hand(base, kind):
    model = load_model(base, attention="eager")
    got = attention_share(model, ROWS)
    shares, uniform, positions = by_hand(model, ROWS, kind)
    torch.testing.assert_close(torch.tensor(got.shares[kind]), torch.tensor(shares), rtol=1e-5, atol=1e-7)
    assert got.uniform[kind] == pytest.approx(uniform)
    assert got.positions == positions


def test_a_head_that_looks_everywhere_alike_has_the_uniform_share(base):
    model = load_model(base, attention="eager")
    for layer in model.model.layers:
        layer.self_attn.q_proj.weight.data.zero_()
    got = attention_share(model, ROWS)
    for kind in ("term", "number"):
        assert torch.tensor(got.shares[kind]).flatten().tolist() == pytest.approx([got.uniform[kind]] * 16, rel=1e-5)
    assert got.of_layer(2) == pytest.approx(got.uniform["term"] + got.uniform["number"], rel=1e-5)


def test_shares_see_what_is_marked(base):
    model = load_model(base, attention="eager")
    everything = [Marked(one.row, ("term",) * len(one.marks)) for one in ROWS]
    got = attention_share(model, everything)
    assert torch.tensor(got.shares["term"]).flatten().tolist() == pytest.approx([1.0] * 16, rel=1e-5)
    assert math.isclose(got.uniform["term"], 1.0)
    nothing = [Marked(Row(one.row.ids, one.row.answer_start), (None,) * len(one.marks)) for one in ROWS]
    assert torch.tensor(attention_share(model, nothing).shares["term"]).sum() == 0


def test_a_model_without_visible_attention_is_refused(base):
    with pytest.raises(ModelError, match="eager"):
        attention_share(load_model(base, attention="sdpa"), ROWS)
