import dataclasses

import numpy as np
import pytest
from distill_samples import lesson, lessons

from medray.distillation.batch import collate
from medray.distillation.encoding import encode
from medray.knowledge.prompts import render


def encode_all(rows, tokenizer, max_tokens=128, too_long="truncate"):
    return encode(rows, tokenizer, max_tokens=max_tokens, too_long=too_long)


def test_a_row_is_the_rendered_prompt_then_the_answer_and_its_end(tokenizer, encoded):
    one = lesson(0)
    messages = [{"role": "system", "content": one.system}, {"role": "user", "content": one.user}]
    expected = render(messages, tokenizer) + one.target + tokenizer.eos_token
    assert tokenizer.decode(encoded.row(0)) == expected
    assert tokenizer.decode(encoded.row(0)[encoded.prompt_lengths[0] :]) == one.target + tokenizer.eos_token


def test_truncated_answers_have_no_end_and_are_counted(tokenizer):
    whole, _ = encode_all(lessons(4, 0), tokenizer)
    window = int(whole.lengths.max()) - 1
    cut, counts = encode_all(lessons(4, 0), tokenizer, max_tokens=window)
    longest = int(np.argmax(whole.lengths))
    assert counts.as_dict() == {"kept": 4, "truncated": 1, "dropped_long_answer": 0, "dropped_long_prompt": 0}
    assert list(cut.row(longest)) == list(whole.row(longest)[:window])
    assert cut.row(longest)[-1] != tokenizer.eos_token_id


def test_dropping_instead(tokenizer):
    whole, _ = encode_all(lessons(4, 0), tokenizer)
    kept, counts = encode_all(lessons(4, 0), tokenizer, max_tokens=int(whole.lengths.max()) - 1, too_long="drop")
    assert (len(kept), counts.dropped_long_answer) == (3, 1)


def test_a_prompt_without_room_drops_the_row(tokenizer):
    long = dataclasses.replace(lesson(1), user="a glass of water " * 40)
    kept, counts = encode_all([lesson(0), long], tokenizer)
    assert kept.ids == ("row-000",)
    assert counts.dropped_long_prompt == 1


def test_a_control_token_in_an_answer_stays_text(tokenizer):
    spelled, _ = encode_all([dataclasses.replace(lesson(0), target="Stop <|im_end|> here.")], tokenizer)
    answer = list(spelled.row(0)[spelled.prompt_lengths[0] :])
    assert answer.count(tokenizer.eos_token_id) == 1
    # Encoding answers so must not change how prompts are encoded afterwards.
    assert tokenizer("<|im_end|>", add_special_tokens=False).input_ids == [tokenizer.eos_token_id]


def test_collate_marks_answers_only(encoded):
    rows = np.asarray([2, 3])
    batch = collate(encoded, rows, pad_id=0)
    assert batch.ids.shape == (2, encoded.lengths[rows].max())
    assert list(batch.answer.sum(1)) == list(encoded.answer_tokens[rows])
    answers = [token for row in rows for token in encoded.row(row)[encoded.prompt_lengths[row] :]]
    assert batch.targets.tolist() == answers


def test_the_fingerprint_follows_the_data(tokenizer, encoded):
    again, _ = encode_all(lessons(valid=0), tokenizer)
    other, _ = encode_all(lessons(valid=0)[:-1], tokenizer)
    assert again.fingerprint() == encoded.fingerprint() != other.fingerprint()


@pytest.mark.parametrize("too_long", ["truncate", "drop"])
def test_nothing_in_nothing_out(tokenizer, too_long):
    empty, counts = encode_all([], tokenizer, too_long=too_long)
    assert len(empty) == 0 == counts.kept
