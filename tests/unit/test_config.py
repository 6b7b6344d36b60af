"""The config system: what a user may write, and what each mistake says."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medray.config import Config, config_hash, dump_yaml, load, parse_yaml, resolved
from medray.errors import ConfigError


class Inner(Config):
    lr: float = 1e-4
    names: tuple[str, ...] = ()
    folder: Path | None = None


class Outer(Config):
    inner: Inner = Inner()
    steps: int = 1
    model: str = "x"


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("inner.lr=1e-5", lambda c: c.inner.lr == 1e-5),
        ("inner.names=[a, b]", lambda c: c.inner.names == ("a", "b")),
        ("inner.folder=/tmp/x", lambda c: c.inner.folder == Path("/tmp/x")),
        ("inner.folder=null", lambda c: c.inner.folder is None),
        ("model=prune:10", lambda c: c.model == "prune:10"),
        ("model=no", lambda c: c.model == "no"),
        ("model=", lambda c: c.model == ""),
    ],
)
def test_set_follows_yaml_1_2(override, read):
    assert read(load(Outer, None, [override]))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("inner.lrr=1", "unknown key 'inner.lrr'; did you mean 'lr'?"),
        ("modle=x", "did you mean 'model'?"),
        ("steps=1.5", "steps: "),
        ("steps='3'", "steps: "),
        ("steps=true", "steps: "),
        ("model=3", "model: "),
        ("inner=3", "inner: "),
        ("inner.lr=.nan", "inner.lr: "),
        ("inner.lr=[1", "syntax error"),
        ("steps", "expected --set a.b=value"),
        ("=1", "expected --set a.b=value"),
        ("a..b=1", "expected --set a.b=value"),
        ("model=2001-01-01", "plain values"),
    ],
)
def test_each_mistake_is_one_clear_line(override, words):
    with pytest.raises(ConfigError) as error:
        load(Outer, None, [override])
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_override_wins_over_file_and_defaults_fill_the_rest(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("steps: 7\ninner: {lr: 2e-3}\n")
    config = load(Outer, path, ["steps=9"])
    assert (config.steps, config.inner.lr, config.model) == (9, 2e-3, "x")


@pytest.mark.parametrize("text", ["- a\n- b\n", "3\n", "a: [\n", "1: x\n", "\x00"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        load(Outer, path)


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(ConfigError, match="found none"):
        load(Outer, tmp_path / "none.yaml")
    binary = tmp_path / "b.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot read"):
        load(Outer, binary)


def test_messages_do_not_echo_values():
    with pytest.raises(ConfigError) as error:
        load(Outer, None, ["steps=a patient named Mr Smith"])
    assert "Smith" not in str(error.value)


def test_configs_do_not_change_and_hash_follows_every_value():
    config = Outer()
    with pytest.raises(Exception, match="frozen"):
        config.steps = 2
    hashes = {config_hash(load(Outer, None, [change])) for change in ["steps=1", "steps=2", "inner.lr=2", "model=y"]}
    assert len(hashes) == 4
    assert config_hash(Outer()) == config_hash(load(Outer, None, ["steps=1"]))


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="ascii", categories=["L", "N"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), plain, max_size=4))
def test_yaml_round_trip(data):
    assert parse_yaml(dump_yaml(data)) == data


def test_resolved_config_loads_again(tmp_path):
    path = tmp_path / "resolved.yaml"
    path.write_text(dump_yaml(resolved(Outer(steps=4))))
    assert load(Outer, path) == Outer(steps=4)
