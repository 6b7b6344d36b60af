"""The response cache: answers served again where that is safe, from memory or disk, exactly or by equivalence.

A question and its scope go in; a `Hit` comes out only if the request may be cached at all (policy), the entry is of
the same scope, whole, alive and not withdrawn, and its question is the same or clinically equivalent in a class whose
false-hit bound holds (gate). Callable from any thread. It knows no engine, no HTTP and writes no text anywhere but
into sealed rows.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from medray.errors import InputError
from medray.inference.response_cache.audit import Auditor, Recompute
from medray.inference.response_cache.calibration import Calibration, shipped
from medray.inference.response_cache.clinical import ClinicalRules, Equivalence
from medray.inference.response_cache.config import CacheConfig
from medray.inference.response_cache.counters import Counters
from medray.inference.response_cache.disk import open_control, open_tier
from medray.inference.response_cache.disk.tier import Record
from medray.inference.response_cache.disk.writer import Writer
from medray.inference.response_cache.embedders import Embedder
from medray.inference.response_cache.entry import Answer, Entry, Hit, MatchKind, Tier
from medray.inference.response_cache.figures import class_figures, disk_figures
from medray.inference.response_cache.gate import Gate
from medray.inference.response_cache.keys import ephemeral
from medray.inference.response_cache.memory import MemoryTier, Resident, text_bytes
from medray.inference.response_cache.normalise import normalise
from medray.inference.response_cache.policy import PLAIN, RequestShape, Screening, screen
from medray.inference.response_cache.scope import Scope, lookup_key, scope_tag
from medray.inference.response_cache.semantic import SemanticLookup, Veto, View
from medray.inference.response_cache.setup import build_semantic

_SCREENINGS_KEPT: Final = 4_096  # questions asked again and again are judged once


class _Place(NamedTuple):
    """Where an allowed question lives."""

    key: bytes
    scope: bytes
    category: str


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
        self._screenings: OrderedDict[str, Screening] = OrderedDict()
        self._screenings_lock = threading.Lock()
        disk_config = self._config.disk
        self._control = open_control(disk_config.folder if disk_config else None)
        self._disk = open_tier(disk_config) if disk_config else None
        self._keys = self._disk.keys if self._disk else ephemeral()
        self._memory = MemoryTier(self._config.memory_bytes, self._left_memory)
        self._writer: Writer | None = None
        if self._disk is not None and disk_config is not None:
            interval_s, queue_bytes = disk_config.flush_interval_s, disk_config.queue_bytes
            self._writer = Writer(self._disk, flush_interval_s=interval_s, queue_bytes=queue_bytes)
            self._disk.on_damaged = self._writer.put_removal
        self._semantic: SemanticLookup | None = None
        self._gate: Gate | None = None
        if self._config.semantic:
            calibration = calibration or shipped()
            self._gate = Gate(calibration, self._control.audited, self._config.false_hit_budget)
            self._semantic = build_semantic(
                self._config, self._rules, calibration, embedder, self._memory, self._disk, veto
            )
        self._auditor = self._build_auditor(recompute)

    def lookup(self, question: str, scope: Scope, shape: RequestShape = PLAIN) -> Hit | None:
        """Return a stored answer that may be served, or None."""
        self._counters.add("lookups")
        place = self._place(question, scope, shape)
        if place is None:
            return None
        hit = self._exact(place) or self._similar(question, scope, place)
        self._counters.add(f"hits_{hit.tier}_{hit.kind}" if hit is not None else "misses")
        return hit

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
        now = self._clock()
        expires_s = now + self._config.ttl_of(place.category)
        self._keep(Entry(place.key, place.scope, question, whole, source, scope.model, place.category, now, expires_s))
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
        for entry in self._memory.entries():
            if artifact in (entry.artifact, entry.model):
                self._forget(entry)

    def exact_key(self, question: str, scope: Scope, shape: RequestShape = PLAIN) -> bytes | None:
        """Return what names the question for sharing one computation, None if it must not be shared."""
        place = self._place(question, scope, shape)
        return place.key if place is not None else None

    def flush(self) -> bool:
        """Write what waits; False if that took too long."""
        return self._writer.flush() if self._writer is not None else True

    def settle(self) -> None:
        """Wait until everything in the background is done: writes, index, audit. For tests and measurements."""
        self.flush()
        if self._semantic is not None:
            self._semantic.wait_until_filled()
        if self._auditor is not None:
            self._auditor.drain()

    def close(self) -> None:
        """Write what waits and let go of files and threads; calling it twice is fine."""
        if self._closed:
            return
        self._closed = True
        for part in (self._auditor, self._semantic, self._writer, self._disk, self._control):
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
        figures: dict[str, Any] = {
            "counts": self._counters.all(),
            "memory": {"entries": len(self._memory), "bytes": self._memory.used_bytes},
            "vectors": self._semantic.vectors if self._semantic is not None else 0,
        }
        if self._disk is not None:
            figures["disk"] = disk_figures(self._disk, self._writer)
        if self._gate is not None:
            figures["classes"] = class_figures(self._gate)
        return figures

    def _place(self, question: str, scope: Scope, shape: RequestShape) -> _Place | None:
        found = self._screen(question, shape)
        if found.refusal is not None:
            self._counters.add("refused_" + found.refusal.replace(":", "_"))
            return None
        key = lookup_key(self._keys.lookup, scope, normalise(question))
        return _Place(key, scope_tag(self._keys.lookup, scope), found.category)

    def _screen(self, question: str, shape: RequestShape) -> Screening:
        if shape != PLAIN or len(question) > self._config.max_question_characters:
            return screen(question, shape, max_characters=self._config.max_question_characters)
        with self._screenings_lock:
            known = self._screenings.get(question)
            if known is not None:
                self._screenings.move_to_end(question)
                return known
        found = screen(question)
        with self._screenings_lock:
            self._screenings[question] = found
            if len(self._screenings) > _SCREENINGS_KEPT:
                self._screenings.popitem(last=False)
        return found

    def _exact(self, place: _Place) -> Hit | None:
        resident = self._memory.get(place.key)
        if resident is not None and self._usable(resident.entry):
            return self._hit(resident.entry, "memory", "exact", 1.0)
        entry = self._disk.get(place.key) if self._disk is not None else None
        if entry is None or entry.scope != place.scope or not self._usable(entry):
            return None
        self._promote(entry)
        return self._hit(entry, "disk", "exact", 1.0)

    def _similar(self, question: str, scope: Scope, place: _Place) -> Hit | None:
        if self._semantic is None or not self._serves(place.category):
            return None
        view = self._semantic.view(question)
        found = self._semantic.find(
            view, place.scope, lambda entry: self._serves(entry.category) and self._usable(entry)
        )
        if found is None:
            return None
        if found.tier == "disk":
            self._promote(found.entry)
        else:
            self._memory.get(found.entry.key)  # counts as a hit of that entry
        if self._auditor is not None:
            self._auditor.offer(question, found.entry.answer.text, scope, place.category)
        return self._hit(found.entry, found.tier, "semantic", found.similarity)

    def _serves(self, category: str) -> bool:
        return self._gate is not None and self._gate.is_open(category)

    def _usable(self, entry: Entry) -> bool:
        """Tell whether an entry may be served now; one that may not is forgotten."""
        if self._clock() < entry.expires_s and not self._control.is_withdrawn(entry.artifact, entry.model):
            return True
        self._counters.add("unusable")
        self._forget(entry)
        return False

    def _keep(self, entry: Entry) -> None:
        view = self._remember(entry)
        if self._writer is not None:
            embedder = self._semantic.embedder if self._semantic is not None else ""
            self._writer.put(Record(entry, view.vector if view is not None else None, embedder))

    def _promote(self, entry: Entry) -> None:
        self._counters.add("promoted")
        self._remember(entry)

    def _remember(self, entry: Entry) -> View | None:
        """Put an entry into memory and, if its class is served so, make it findable by similar questions."""
        view = self._semantic.view(entry.question) if self._semantic and self._serves(entry.category) else None
        terms = view.terms if view is not None else frozenset()
        size = text_bytes(entry, terms) + (self._rules.size_bytes(view.profile) if view is not None else 0)
        kept = self._memory.put(Resident(entry, view.profile if view is not None else None, terms, size))
        if view is not None and self._semantic is not None and (kept or self._disk is not None):
            self._semantic.add(entry, view)
        return view

    def _forget(self, entry: Entry) -> None:
        self._memory.remove(entry.key)
        if self._semantic is not None:
            self._semantic.remove(entry)
        if self._writer is not None:
            self._writer.put_removal(entry.key)

    def _left_memory(self, entry: Entry) -> None:
        if self._disk is None and self._semantic is not None:
            self._semantic.remove(entry)

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
        if self._gate is not None:
            self._gate.refresh()
