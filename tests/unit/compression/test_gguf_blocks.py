"""Tensor types of GGUF: what is stored is what was meant, by both quantisers, and what cannot be is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medray.compression.backends import gguf_native
from medray.compression.backends.gguf_blocks import FOUR_BIT, TYPES, blocks_of, dequantise, quantise
from medray.errors import CapabilityError, ConfigError, ModelError

native = pytest.mark.skipif(not gguf_native.available(), reason="needs ggml's library (the extra edge)")
NUMPY_TYPES = ("q8_0", "q4_0", "q4_1")


def matrix(rows=16, columns=256, *, seed=0, scale=0.05):
    return np.random.default_rng(seed).normal(0, scale, (rows, columns)).astype(np.float32)


def steps(weights, code):
    """The distance between neighbouring values of each block: no weight may be rounded by more than half of it."""
    blocks = weights.reshape(weights.shape[0], -1, 32)
    if code == "q4_1":
        return (blocks.max(-1) - blocks.min(-1)) / 15
    return np.abs(blocks).max(-1) / (127 if code == "q8_0" else 8)


@pytest.mark.parametrize("code", NUMPY_TYPES)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), exponent=st.integers(-4, 4))
def test_no_weight_moves_by_more_than_its_block_allows(code, seed, exponent):
    weights = matrix(4, 64, seed=seed, scale=10.0**exponent)
    moved = np.abs(dequantise(quantise(weights, code), code) - weights).reshape(4, -1, 32).max(-1)
    # Half a step, but a whole one at Q4_0's far end (-8 ... 7); and the scale itself is rounded to float16, whose
    # subnormals are 2^-24 apart: that is the second half of what up to 128 steps of it may be off.
    scale_rounding = 2e-3 * np.abs(weights).max() + 128 * 2.0**-25
    allowed = steps(weights, code) * (1.0 if code == "q4_0" else 0.5) + scale_rounding
    assert (moved <= allowed).all()


@pytest.mark.parametrize("code", [code for code in TYPES if TYPES[code].in_numpy])
def test_sizes_are_as_announced(code):
    assert quantise(matrix(), code).shape == (16, 256 // TYPES[code].size * TYPES[code].bytes)
    assert dequantise(quantise(matrix(), code), code).shape == (16, 256)


def test_bits_count_the_scales():
    bits = {code: blocks.bits for code, blocks in TYPES.items()}
    assert bits == {"f32": 32, "f16": 16, "bf16": 16, "q8_0": 8.5, "q4_0": 4.5, "q4_1": 5, "iq4_nl": 4.5, "q4_k": 4.5}


@pytest.mark.parametrize("code", NUMPY_TYPES)
def test_zeros_and_vanishing_weights_stay_finite(code):
    weights = matrix(2, 64)
    weights[0] = 0
    weights[1, :32] = 1e-42  # subnormal: the inverse of its scale overflows
    back = dequantise(quantise(weights, code), code)
    assert np.isfinite(back).all()
    assert np.abs(back[0]).max() == 0 == np.abs(back[1, :32]).max()


@native
@pytest.mark.parametrize("code", NUMPY_TYPES)
def test_both_quantisers_write_the_same_bytes(code):
    weights, blocks = matrix(), blocks_of(code)
    theirs = gguf_native.quantise_native(weights, int(blocks.ggml_type), blocks.bytes_of(1, 256), None)
    same = (theirs == quantise(weights, code)).reshape(-1, blocks.bytes).all(1)
    # Compilers fuse a multiplication and an addition that numpy rounds apart: one tie in hundreds may fall otherwise.
    assert same.mean() > 0.97


@native
def test_rows_do_not_depend_on_how_they_are_shared_out():
    weights = matrix(600, 64)
    whole = quantise(weights, "iq4_nl")
    assert all((quantise(weights[row : row + 1], "iq4_nl") == whole[row]).all() for row in (0, 255, 256, 511, 512, 599))


@native
@pytest.mark.parametrize("code", FOUR_BIT)
def test_four_bits_lose_what_four_bits_lose(code):
    weights = matrix()
    back = dequantise(quantise(weights, code), code)
    error = np.linalg.norm(back - weights) / np.linalg.norm(weights)
    assert 0.05 < error < 0.12  # Gaussian weights: 0.07 to 0.10 for every code of 4.5 to 5 bits


@native
@pytest.mark.parametrize("code", FOUR_BIT)
def test_importance_moves_the_error_to_where_it_matters_less(code):
    weights = matrix(64, 256)
    importance = np.where(np.arange(256) % 8 == 0, 100.0, 1.0).astype(np.float32)

    def weighted(stored):
        return float((importance * (dequantise(stored, code) - weights) ** 2).mean())

    assert weighted(quantise(weights, code, importance)) < 0.9 * weighted(quantise(weights, code))


@native
@pytest.mark.parametrize(
    "importance",
    [np.ones(255), np.zeros(256), np.full(256, np.nan), -np.ones(256)],
    ids=["short", "zero", "nan", "neg"],
)
def test_importances_that_are_none_are_refused(importance):
    with pytest.raises(ModelError, match="256 finite importances"):
        quantise(matrix(), "q4_0", importance)


def test_without_the_library_the_message_names_the_extra(monkeypatch):
    monkeypatch.setattr(gguf_native, "_folder", lambda: None)
    gguf_native._quantise_chunk.cache_clear()
    with pytest.raises(CapabilityError, match=r"medray\[edge\]"):
        quantise(matrix(), "iq4_nl")
    gguf_native._quantise_chunk.cache_clear()


def test_rows_that_are_no_whole_blocks_and_unknown_types_are_refused():
    with pytest.raises(ModelError, match="blocks of 32, got 40"):
        quantise(matrix(2, 40), "q8_0")
    with pytest.raises(ModelError, match="blocks of 256, got 576"):
        quantise(matrix(2, 576), "q4_k")
    with pytest.raises(ConfigError, match="q4_k, got 'q2_k'"):
        blocks_of("q2_k")
