"""Eq. 8 against its words, and the embedders against their promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medray.errors import ModelError
from medray.inference.response_cache.embedders import build_embedder
from medray.inference.response_cache.similarity import jaccard, similarity, words

term_sets = st.frozensets(st.sampled_from("abcdefgh"))


@given(term_sets, term_sets)
def test_jaccard_is_the_share_of_common_terms(a, b):
    by_hand = sum(term in a and term in b for term in "abcdefgh") / max(sum(t in a or t in b for t in "abcdefgh"), 1)
    assert jaccard(a, b) == jaccard(b, a) == by_hand


def test_eq_8():
    assert similarity(0.3, 0.5, 0.9) == pytest.approx(0.3 * 0.5 + 0.7 * 0.9)
    assert words("Is 0.5 mg OK? Is it?") == {"is", "0.5", "mg", "ok", "it"}


def test_static_rows_are_unit_and_repeatable():
    embedder = build_embedder("static")
    texts = ["dose of paracetamol", "what causes gout", "", "dose of paracetamol"]
    rows = embedder.embed(texts)
    assert rows.shape == (4, embedder.dimensions)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 0, 1], abs=1e-5)
    assert (rows[0] == rows[3]).all()
    # Pinned: vectors lie on disk, so another machine or version must give the same ones.
    assert rows[0][:6].tolist() == pytest.approx(PINNED, abs=1e-6)


PINNED = [-0.0312428, 0.0, 0.0489858, -0.078922, 0.0, -0.0312428]


def test_static_nearness_follows_spelling():
    texts = ["symptoms of gout in adults", "symptom of gout in adult", "how to prevent measles"]
    question, near, far = build_embedder("static").embed(texts)
    assert float(question @ near) > 0.6 > float(question @ far)


def test_a_name_that_is_no_embedder_is_refused(medray_home):
    with pytest.raises(ModelError, match="medray models pull minilm"):
        build_embedder("minilm")


def test_a_sentence_transformers_folder_is_pooled_as_it_says(tmp_path):
    """A tiny random BERT: mean pooling over the mask, whatever the padding."""
    import json

    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path / "tiny"
    (folder / "1_Pooling").mkdir(parents=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "what", "causes", "gout", "dose", "of"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=32, **sizes)
    model = BertModel(config).eval()
    model.save_pretrained(folder)
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    embedder = build_embedder(str(folder))
    rows = embedder.embed(["what causes gout", "dose"])
    with torch.inference_mode():
        hidden = model(**tokenizer(["dose"], return_tensors="pt")).last_hidden_state[0]
    expected = torch.nn.functional.normalize(hidden.mean(0), dim=0).numpy()
    assert rows[1] == pytest.approx(expected, abs=1e-5)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    first = torch.nn.functional.normalize(hidden[0], dim=0).numpy()
    assert build_embedder(str(folder)).embed(["dose"])[0] == pytest.approx(first, abs=1e-5)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))
    with pytest.raises(ModelError, match="mean or CLS pooling"):
        build_embedder(str(folder))
