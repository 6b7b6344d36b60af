"""The response cache: answers served again where that is safe, from memory or disk, exactly or by equivalence.

A question and its scope go in; a `Hit` comes out only if the request may be cached at all (admission), the entry is of
the same scope, whole, alive and not withdrawn, and its question is the same or clinically equivalent in a class whose
false-hit bound holds (gate). Callable from any thread. It knows no engine, no HTTP and writes no text anywhere but
into sealed rows.
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from medray.errors import InputError
from medray.inference.response_cache.admission import Admission, Place
from medray.inference.response_cache.audit import Auditor, Recompute
from medray.inference.response_cache.calibration import Calibration, shipped
from medray.inference.response_cache.clinical import ClinicalRules, Equivalence
from medray.inference.response_cache.config import CacheConfig
from medray.inference.response_cache.counters import Counters
from medray.inference.response_cache.disk import open_control, open_or_go_on
from medray.inference.response_cache.embedders import Embedder
from medray.inference.response_cache.entry import Answer, Entry, Hit, MatchKind, Tier
from medray.inference.response_cache.figures import cache_figures
from medray.inference.response_cache.gate import Gate
from medray.inference.response_cache.keys import ephemeral
from medray.inference.response_cache.policy import PLAIN, RequestShape
from medray.inference.response_cache.scope import Scope
from medray.inference.response_cache.semantic import Veto
from medray.inference.response_cache.setup import semantic_builder
from medray.inference.response_cache.tiers import Tiers


class ResponseCache:
    """See the module. `close` it (or use `with`) so that what waits reaches the disk.

    `recompute` enables the audit, `veto` is a second opinion that can only refuse. The others replace defaults, for
    tests and studies. Raises ConfigError, ModelError or CapabilityError.
    """

    def __init__(
        self,
        config: CacheConfig | None = None,
        *,
        equivalence: Equivalence | None = None,
        embedder: Embedder | None = None,
        calibration: Calibration | None = None,
        recompute: Recompute | None = None,
        veto: Veto | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config or CacheConfig()
        self._clock = clock
        self._rules = equivalence or ClinicalRules()
        self._closed = False
        self._counters = Counters()
        calibration = calibration or shipped()
        build = semantic_builder(self._config, self._rules, calibration, embedder, veto)
        disk_config = self._config.disk
        self._control = open_control(disk_config.folder if disk_config else None)
        try:
            disk = open_or_go_on(disk_config) if disk_config else None
        except BaseException:
            self._control.close()
            raise
        keys = disk.keys if disk is not None else ephemeral()
        self._admission = Admission(keys, self._config.max_question_characters)
        self._tiers = Tiers(self._config.memory_bytes, disk, disk_config, build, self._counters)
        self._gate = Gate(calibration, self._control.audited, self._config.false_hit_budget)
        self._auditor = self._build_auditor(recompute)

    def lookup(self, question: str, scope: Scope, shape: RequestShape = PLAIN) -> Hit | None:
        """Return a stored answer that may be served, or None. Raises InputError for what is no question."""
        self._counters.add("lookups")
        place = self._place(question, scope, shape)
        if place is None:
            return None
        hit = self._exact(place) or self._similar(question, scope, place)
        self._counters.add(f"hits_{hit.tier}_{hit.kind}" if hit is not None else "misses")
        return hit

    def peek(self, question: str, scope: Scope, shape: RequestShape = PLAIN) -> Hit | None:
        """Return a stored answer to the very same question, uncounted: for a second look just before computing."""
        place = self._admission.place(question, scope, shape)
        return self._exact(place) if isinstance(place, Place) and not self._closed else None

    def store(
        self,
        question: str,
        answer: Answer | str,
        scope: Scope,
        shape: RequestShape = PLAIN,
        *,
        artifact: str | None = None,
    ) -> bool:
        """Keep an answer if it may be kept; return whether it was. `artifact` computed it (default: the scope's model).

        Answers that are cut short, empty, or of a withdrawn artifact are not kept. Raises InputError for what is no
        answer.
        """
        if not isinstance(answer, Answer | str):
            raise InputError(f"store: expected an Answer or text, got {type(answer).__name__}")
        whole = Answer(answer) if isinstance(answer, str) else answer
        source = artifact if artifact is not None else scope.model
        if whole.finish_reason != "stop" or not whole.text.strip():
            self._counters.add("not_stored_incomplete")
            return False
        place = self._place(question, scope, shape)
        if place is None:
            return False
        if self._control.is_withdrawn(source, scope.model):
            self._counters.add("not_stored_withdrawn")
            return False
        category, now = place.category, self._clock()
        expires_s = now + self._config.ttl_of(category)
        entry = Entry(place.key, place.scope, question, whole, source, scope.model, category, now, expires_s)
        self._tiers.keep(entry, findable=self._serves(category))
        self._counters.add("stored")
        return True

    def explain(self, a: str, b: str) -> list[str]:
        """Return the reasons why an answer to one question must not serve the other; none: equivalent."""
        return list(self._rules.compare(self._rules.profile(a), self._rules.profile(b)))

    def invalidate(self, artifact: str) -> None:
        """Withdraw all answers of an artifact for good, in every process that shares the folder, from now on.

        Raises CapabilityError if the withdrawal cannot be made durable; it holds in this process even then.
        """
        self._control.withdraw(artifact)
        self._counters.add("withdrawals")
        for entry in self._tiers.memory.entries():
            if artifact in (entry.artifact, entry.model):
                self._tiers.forget(entry)

    def exact_key(self, question: str, scope: Scope, shape: RequestShape = PLAIN) -> bytes | None:
        """Return what names the question for sharing one computation, None if it must not be shared."""
        place = self._admission.place(question, scope, shape)
        return place.key if isinstance(place, Place) else None

    def flush(self) -> bool:
        """Write what waits; False if that took too long."""
        return self._tiers.writer.flush() if self._tiers.writer is not None else True

    def settle(self) -> None:
        """Wait until everything in the background is done: writes, index, audit. For tests and measurements."""
        self._tiers.settle()
        if self._auditor is not None:
            self._auditor.drain()

    def close(self) -> None:
        """Write what waits and let go of files and threads; calling it twice is fine."""
        if self._closed:
            return
        self._closed = True
        for part in (self._auditor, self._tiers, self._control):
            if part is not None:
                part.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def stats(self) -> dict[str, Any]:
        """Return figures for metrics: counts, sizes, and the running wrong-answer estimate by class."""
        return cache_figures(self._counters, self._tiers, self._gate, self._auditor)

    def _place(self, question: str, scope: Scope, shape: RequestShape) -> Place | None:
        """Return where an allowed question lives; None, counted, for any other and after `close`."""
        place = self._admission.place(question, scope, shape)
        if not isinstance(place, Place):
            self._counters.add("refused_" + place.replace(":", "_"))
            return None
        return None if self._closed else place

    def _exact(self, place: Place) -> Hit | None:
        found = self._tiers.get(place.key, place.scope)
        if found is None or not self._usable(found[0]):
            return None
        entry, tier = found
        if tier == "disk":
            self._tiers.promote(entry, findable=self._serves(entry.category))
        return self._hit(entry, tier, "exact", 1.0)

    def _similar(self, question: str, scope: Scope, place: Place) -> Hit | None:
        if not self._serves(place.category):
            return None
        found = self._tiers.find(
            question, place.scope, lambda entry: self._serves(entry.category) and self._usable(entry)
        )
        if found is None:
            return None
        if found.tier == "disk":
            self._tiers.promote(found.entry, findable=True, described=found.described)
        else:
            self._tiers.memory.get(found.entry.key)  # counts as a hit of that entry
        if self._auditor is not None:
            self._auditor.offer(question, found.entry.answer.text, scope, place.category)
        return self._hit(found.entry, found.tier, "semantic", found.similarity)

    def _serves(self, category: str) -> bool:
        return self._config.semantic and self._gate.is_open(category)

    def _usable(self, entry: Entry) -> bool:
        """Tell whether an entry may be served now; one that may not is forgotten."""
        expires_s = min(entry.expires_s, entry.created_s + self._config.ttl_of(entry.category))
        if self._clock() < expires_s and not self._control.is_withdrawn(entry.artifact, entry.model):
            return True
        self._counters.add("unusable")
        self._tiers.forget(entry)
        return False

    def _hit(self, entry: Entry, tier: Tier, kind: MatchKind, value: float) -> Hit:
        age_s = max(self._clock() - entry.created_s, 0.0)
        answer = entry.answer
        return Hit(
            answer.text, tier, kind, value, age_s, entry.artifact, entry.category, answer.tokens, answer.prompt_tokens
        )

    def _build_auditor(self, recompute: Recompute | None) -> Auditor | None:
        if recompute is None or not self._config.audit_share:
            return None
        return Auditor(self._config.audit_share, recompute, self._rules.conflicts, self._count_audit)

    def _count_audit(self, category: str, wrong: bool) -> None:
        self._control.count_audit(category, wrong=wrong)
        self._gate.refresh()
