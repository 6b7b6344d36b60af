"""KL against an independent computation, its standard error against a simulation, and mutants that it must see."""

import math

import pytest
import torch
from torch.nn.functional import kl_div

from medray.compression.measure import compare, ratio_standard_error
from medray.compression.rows import batches, draw
from medray.errors import DataError
from medray.models import load_model, load_tokenizer
from medray.models.tiny import tiny_model


def measured(first, second, rows, **options):
    return compare(first, second, rows, **{"batch_size": 4, "device": "cpu", **options})


def test_kl_equals_torch_s_row_by_row(base, rows):
    first, second = load_model(base), tiny_model(seed=3)
    total = tokens = 0
    with torch.no_grad():
        for row in rows:
            ids = torch.tensor([row.ids])
            span = slice(row.answer_start - 1, len(row.ids) - 1)
            p, q = (model(ids).logits[0, span].double().log_softmax(-1) for model in (first, second))
            total += float(kl_div(q, p, log_target=True, reduction="sum"))
            tokens += p.shape[0]
    got = measured(first, second, rows)
    assert got.tokens == tokens
    assert got.kl == pytest.approx(total / tokens, rel=1e-4)
    assert got.kl_se > 0


def test_a_model_does_not_diverge_from_itself_in_any_batching(base, rows):
    model = load_model(base)
    for size in (1, 3, 8):
        got = measured(model, model, rows, batch_size=size)
        assert (got.kl, got.agreement) == (0.0, 1.0)
        assert got.perplexity == got.perplexity_merged


def test_batching_does_not_change_the_figure(base, rows):
    first, second = load_model(base), tiny_model(seed=3)
    single, many = (measured(first, second, rows, batch_size=size) for size in (1, 6))
    assert single.kl == pytest.approx(many.kl, rel=1e-4)


def test_two_swapped_layers_are_seen(base, rows):
    model, mutant = load_model(base), load_model(base)
    layers = mutant.model.layers
    layers[0], layers[3] = layers[3], layers[0]
    for position, layer in enumerate(layers):
        layer.self_attn.layer_idx = position
    noise = measured(model, model, rows).kl
    assert measured(model, mutant, rows).kl > noise + 1e-5


def test_progress_counts_every_row(base, rows):
    seen = []
    model = load_model(base)
    measured(model, model, rows, advance=seen.append)
    assert sum(seen) == len(rows)


def test_the_standard_error_is_the_spread_over_samples_of_lessons():
    generator = torch.Generator().manual_seed(0)

    def sample():
        tokens = torch.randint(5, 60, (40,), generator=generator)
        level = torch.rand(40, generator=generator)  # tokens of one lesson share their level: clustered
        return [(float(rate * count), int(count)) for rate, count in zip(level, tokens, strict=True)]

    samples = [sample() for _ in range(400)]
    ratios = torch.tensor([sum(v for v, _ in s) / sum(n for _, n in s) for s in samples])
    mean_error = sum(ratio_standard_error(s) for s in samples) / len(samples)
    assert mean_error == pytest.approx(float(ratios.std()), rel=0.15)
    assert ratio_standard_error([(1.0, 2)]) is None
    assert math.isclose(ratio_standard_error([(2.0, 2), (4.0, 4)]), 0.0)


def test_rows_are_the_same_for_a_seed_and_none_is_an_error(base, lessons):
    tokenizer = load_tokenizer(base)
    first, second, other = (draw(lessons, tokenizer, rows=3, max_tokens=96, seed=seed) for seed in (1, 1, 2))
    assert first == second != other
    assert all(0 < row.answer_start < len(row.ids) <= 96 for row in first)
    assert sorted(row.ids for batch in batches(first, 2) for row in batch) == sorted(row.ids for row in first)
    with pytest.raises(DataError, match="raise max_tokens"):
        draw(lessons, tokenizer, rows=3, max_tokens=16, seed=1)
