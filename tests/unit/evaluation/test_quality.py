"""Quality per class: guessing is 0, the lower bound is what the manifest promises, the artifact stays what it was."""

import pytest
from evaluation_fakes import items, outcome

from medray.artifacts import Manifest, Output, read
from medray.errors import ArtifactError
from medray.evaluation.quality import MIN_ITEMS, quality, write_quality
from medray.evaluation.rows import rows_of
from medray.models import resolve
from medray.models.tiny import save_tiny
from medray.serving.plan import _quality as read_by_the_selector

ITEMS = items(200)


def rows(rule, of=ITEMS):
    return rows_of(of, {one.id: [outcome(one, rule(one))] for one in of})


def test_all_right_is_near_one_and_guessing_is_zero():
    best = quality(rows(lambda one: one.answer_index))
    assert set(best) == {"diagnosis", "treatment"} and best["diagnosis"]["n"] == 100
    assert best["diagnosis"]["value"] == 1.0 and 0.9 < best["diagnosis"]["lower"] < 1.0
    guess = quality(rows(lambda one: 0, items(200, category="general")))
    assert guess["general"]["value"] == pytest.approx(0.0) and guess["general"]["lower"] == 0.0
    wrong = quality(rows(lambda one: (one.answer_index + 1) % 4))
    assert {own["lower"] for own in wrong.values()} == {0.0} and wrong["treatment"]["value"] < 0


def test_half_right_of_four_options_is_a_third_above_chance():
    halves = quality(
        rows(lambda one: one.answer_index if int(one.id.split("/")[1]) % 4 < 2 else (one.answer_index + 1) % 4)
    )
    both = [own["value"] for own in halves.values()]
    assert both == pytest.approx([1 / 3, 1 / 3])
    assert all(own["lower"] < 1 / 3 for own in halves.values())


def test_options_count_in_what_guessing_is():
    two = items(100, options=2)
    assert quality(rows(lambda one: 0, two))["diagnosis"]["value"] == pytest.approx(1.0)  # its items are all 0
    assert quality(rows(lambda one: 1, two))["diagnosis"]["value"] == pytest.approx(-1.0)


def test_few_items_stay_unmeasured():
    assert quality(rows(lambda one: 0, items(2 * MIN_ITEMS - 2))) == {}


@pytest.fixture
def artifact(tmp_path):
    with Output(tmp_path / "model", kind="compressed", config={}, inputs={}) as output:
        save_tiny(output.path / "merged")
        output.commit(Manifest(kind="compressed", metrics={"kl": 0.5}))
    return tmp_path / "model"


@pytest.mark.parametrize("named", ["", "merged"])
def test_the_manifest_holds_what_the_selector_reads_and_nothing_else_changes(artifact, named):
    before = read(artifact)
    measured = quality(rows(lambda one: one.answer_index))
    path = write_quality(resolve(str(artifact / named)), measured)
    after = read(artifact, verify=True)
    assert path == artifact / "manifest.json" and after.content_hash == before.content_hash
    assert after.model_copy(update={"quality": before.quality}) == before
    assert read_by_the_selector(str(artifact)) == {name: own["lower"] for name, own in measured.items()}
    assert sorted(item.name for item in artifact.iterdir()) == ["manifest.json", "merged"]


def test_a_plain_model_has_no_manifest_to_write_to(tmp_path):
    with pytest.raises(ArtifactError, match="expected an artifact"):
        write_quality(save_tiny(tmp_path / "plain"), {})
