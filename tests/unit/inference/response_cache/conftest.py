"""Caches for tests: crude rules for clinical ones, a calibration that opens every class, a settable clock."""

import itertools
import re
import secrets

import pytest

from medray.inference.response_cache.cache import ResponseCache
from medray.inference.response_cache.calibration import Calibration, Counted, Weights
from medray.inference.response_cache.config import CacheConfig, DiskConfig
from medray.inference.response_cache.keys import KEY_VARIABLE
from medray.inference.response_cache.scope import Scope
from medray.knowledge import CATEGORIES

SYNONYMS = {"tylenol": "paracetamol", "acetaminophen": "paracetamol", "max": "maximum", "highest": "maximum"}
FUNCTION_WORDS = {"what", "is", "the", "of", "a", "for", "can", "you", "take", "tell", "about", "please"}


class CrudeRules:
    """Two questions are the same if they have the same words, a few synonyms and function words aside."""

    def profile(self, text):
        words = re.findall(r"[a-z0-9.]+", text.casefold())
        return frozenset(SYNONYMS.get(word, word) for word in words) - FUNCTION_WORDS

    def compare(self, a, b):
        return [f"word: {len(a ^ b)} differ"] if a != b else []

    def terms(self, text, profile):
        return profile

    def size_bytes(self, profile):
        return 100 * len(profile)

    def conflicts(self, a, b):
        return [] if a == b else ["text: differs"]


class Clock:
    def __init__(self):
        self.now_s = 1_000_000.0

    def __call__(self):
        return self.now_s


def calibration(false_hits=0, trials=400):
    classes = {category: Counted(trials=trials, false_hits=false_hits) for category in CATEGORIES}
    weights = Weights(jaccard_weight=0.5, threshold=0.5, candidate_recall=1.0)
    return Calibration(
        minimal_pairs=trials, paraphrases=0, pairs_sha256="", classes=classes, embedders={"static": weights}
    )


@pytest.fixture
def scope():
    return Scope("clinic", "artifact-1", "1", "greedy")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, secrets.token_hex(32))


@pytest.fixture
def make_cache(clock):
    """Build caches that are closed at the end; keywords go to the config, or to the cache by name."""
    made = []

    def make(*, false_hits=0, recompute=None, veto=None, equivalence=None, **config):
        cache = ResponseCache(
            CacheConfig(**config),
            equivalence=equivalence or CrudeRules(),
            calibration=calibration(false_hits),
            recompute=recompute,
            veto=veto,
            clock=clock,
        )
        made.append(cache)
        return cache

    yield make
    for cache in made:
        cache.close()


@pytest.fixture
def disk(tmp_path, key):
    """A disk tier's config in an empty folder, under a key."""
    return DiskConfig(folder=tmp_path / "cache", max_bytes=2 * 1024**2, flush_interval_s=0.05)


@pytest.fixture
def questions():
    """As many different general questions as asked for."""
    words = ["gout", "asthma", "anaemia", "eczema", "migraine", "scurvy", "rickets", "measles", "mumps", "tetanus"]
    asks = ["causes", "prevents", "worsens", "treats", "follows", "explains"]

    def make(count):
        pairs = itertools.islice(itertools.cycle(itertools.product(asks, words)), count)
        return [f"What {ask} {word} of type {2000 + at}?" for at, (ask, word) in enumerate(pairs)]

    return make
