"""Scopes cannot be made to look alike, whatever a tenant calls itself; normalisation keeps what carries meaning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medray.errors import InputError
from medray.inference.response_cache.normalise import normalise
from medray.inference.response_cache.scope import Scope, joined, lookup_key, scope_tag

KEY = b"k" * 32
# Parts that try to move a border between neighbours: separators, lengths, empty strings, surrogates.
part = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "\x00", "a\x00b", "|", "a|b", "\x00\x00\x00\x00\x00\x00\x00\x01a", '"', "\ud800", "question", "scope"]
    ),
)
scopes = st.builds(Scope, part, part, part, part)


@given(scopes, scopes, part, part)
def test_keys_agree_only_for_the_same_scope_and_question(a, b, question_a, question_b):
    same = (a, question_a) == (b, question_b)
    assert (lookup_key(KEY, a, question_a) == lookup_key(KEY, b, question_b)) == same
    assert (scope_tag(KEY, a) == scope_tag(KEY, b)) == (a == b)


@given(st.lists(part, max_size=5), st.lists(part, max_size=5))
def test_joined_parts_can_be_told_apart(a, b):
    assert (joined(*a) == joined(*b)) == (a == b)


def test_joining_without_lengths_would_not_do():
    """The mutant: plain concatenation makes two scopes one."""
    a, b = Scope("ab", "c", "1", ""), Scope("a", "bc", "1", "")
    assert "".join(["ab", "c", "1", ""]) == "".join(["a", "bc", "1", ""])
    assert a.encoded() != b.encoded()


def test_other_keys_give_other_names():
    scope = Scope("t", "m", "1", "greedy")
    assert lookup_key(KEY, scope, "q") != lookup_key(b"j" * 32, scope, "q")


def test_sampling_may_be_parameters_in_any_order():
    a = Scope("t", "m", "1", {"temperature": 0.0, "top_p": 1.0})
    assert a == Scope("t", "m", "1", {"top_p": 1.0, "temperature": 0.0})
    assert a != Scope("t", "m", "1", {"temperature": 0.5, "top_p": 1.0})
    assert hash(a)


@pytest.mark.parametrize("sampling", [3, None, {"stop": ["a"]}, {"temperature": float("nan")}])
def test_what_is_no_scope_is_refused(sampling):
    with pytest.raises(InputError, match="sampling"):
        Scope("t", "m", "1", sampling)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("What is gout?", "  what is gout "),
        ("What is gout ?", "What is\tgout?!"),
        ("Is gout painful?", "is gout painful"),
        ("What is Crohn’s disease?", "What is Crohn's disease"),
    ],
)
def test_same_text(a, b):
    assert normalise(a) == normalise(b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Is 5 mM high?", "Is 5 mm high?"),
        ("What are AIDS?", "What are aids?"),
        ("Is 10² high?", "Is 102 high?"),
        ("Is 0.5 mg safe?", "Is 05 mg safe?"),
        ("Is 1.5 mg safe?", "Is 15 mg safe?"),
        ("Is < 5 normal?", "Is > 5 normal?"),
        ("Is -5 normal?", "Is 5 normal?"),
        ("What is vitamin K?", "What is vitamin k2?"),
    ],
)
def test_different_text(a, b):
    assert normalise(a) != normalise(b)


@given(st.text())
def test_normalising_twice_changes_nothing(text):
    assert normalise(normalise(text)) == normalise(text)
