"""Laws of the assembler: however tokens split the text, what is shown is the text cut at the first stop string."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medray.inference.assembly import AnswerAssembler, Detokenizer, StopCutter
from medray.models.tiny import tiny_tokenizer

_ALPHABET = st.sampled_from("abé日🙂 \n")
_TEXT = st.text(_ALPHABET, max_size=40)
_STOPS = st.lists(st.text(_ALPHABET, min_size=1, max_size=4), max_size=4)


def _split(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, start, turn = [], 0, 0
    while start < len(data):
        pieces.append(data[start : start + sizes[turn % len(sizes)]])
        start += sizes[turn % len(sizes)]
        turn += 1
    return pieces


def _cut(text: str, stops: list[str]) -> str:
    """The definition, one character at a time."""
    for end in range(1, len(text) + 1):
        complete = [len(stop) for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: end - max(complete)]
    return text


@settings(max_examples=400, deadline=None)
@given(_TEXT, _STOPS, st.lists(st.integers(1, 7), min_size=1, max_size=5))
def test_joined_deltas_are_the_text_cut_at_the_first_stop(text: str, stops: list[str], sizes: list[int]) -> None:
    pieces = _split(text.encode(), sizes)
    assembler = AnswerAssembler(lambda ids: b"".join(pieces[i] for i in ids).decode(errors="replace"), stops)
    shown = []
    for index in range(len(pieces)):
        shown.append(assembler.push(index))
        assert "\ufffd" not in shown[-1], "a character was cut"
        if assembler.stopped:
            break
    assert "".join([*shown, assembler.flush()]) == _cut(text, stops)


@settings(max_examples=200, deadline=None)
@given(_TEXT, _STOPS, st.lists(st.integers(1, 5), min_size=1))
def test_no_shown_prefix_reaches_into_a_stop_string(text: str, stops: list[str], sizes: list[int]) -> None:
    cutter, shown, start = StopCutter(stops), "", 0
    for size in sizes * len(text):
        shown += cutter.push(text[start : start + size])
        start += size
        assert _cut(text, stops).startswith(shown)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tiny_tokenizer()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_pieces_of_a_real_tokenizer_join_to_the_decoded_whole(tokenizer: Any, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(3, 383), max_size=60))  # most are bytes that form no characters
    detokenizer = Detokenizer(lambda window: tokenizer.decode(window, clean_up_tokenization_spaces=False))
    joined = "".join(detokenizer.push(token) for token in ids) + detokenizer.flush()
    assert joined == tokenizer.decode(ids, clean_up_tokenization_spaces=False)


@settings(max_examples=200, deadline=None)
@given(_TEXT)
def test_byte_fallback_decoders_work_as_well(text: str) -> None:
    """Llama-2-like decoders: a run of byte tokens is a replacement mark each until the run is whole."""
    tokens: list[str | int] = []
    for character in text:
        tokens.extend([character] if character.isascii() else list(character.encode()))

    def decode(ids: list[int]) -> str:
        out, run = "", b""
        for token in [*(tokens[i] for i in ids), ""]:
            if isinstance(token, int):
                run += bytes([token])
                continue
            try:
                out += run.decode()
            except UnicodeDecodeError:
                out += "\ufffd" * len(run)
            out, run = out + token, b""
        return out

    detokenizer = Detokenizer(decode)
    pieces = [detokenizer.push(index) for index in range(len(tokens))]
    assert not any("\ufffd" in piece for piece in pieces)
    assert "".join(pieces) + detokenizer.flush() == text


def test_a_window_of_garbage_is_given_up() -> None:
    calls: list[int] = []

    def decode(ids: list[int]) -> str:
        calls.append(len(ids))
        return "\ufffd" * len(ids)

    detokenizer = Detokenizer(decode)
    text = "".join(detokenizer.push(0) for _ in range(2000)) + detokenizer.flush()
    assert len(text) == 2000
    assert max(calls) < 600
