"""docs/cache-latency.md from the measured figures: every number on the page comes from the JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from medray.report import markdown_table, provenance_line


class Goal(NamedTuple):
    """A bound that was set before measuring, and what came out."""

    what: str
    measured: float
    below: float
    unit: str

    @property
    def met(self) -> bool:
        """Whether it came out below the bound."""
        return self.measured < self.below


_RANKS: Final = ("p50_ms", "p99_ms")


def goals(result: Mapping[str, Any]) -> list[Goal]:
    """Return the goals with what was measured."""
    look_ups, large = result["look_ups"], result["large"]
    similar = max(look_ups[name]["p99_ms"] for name in ("semantic_hit", "semantic_miss"))
    return [
        Goal("exact hit in memory, median", look_ups["exact_memory"]["p50_ms"], 0.2, "ms"),
        Goal("exact hit in memory, 99th percentile", look_ups["exact_memory"]["p99_ms"], 1.0, "ms"),
        Goal("similar look-up without embedding, 99th percentile", similar, 5.0, "ms"),
        Goal("exact hit on disk, median", look_ups["exact_disk"]["p50_ms"], 5.0, "ms"),
        Goal(f"open {large['entries']:,} entries", large["open_s"], 5.0, "s"),
        Goal("growth of own memory over a large folder", large["own_growth_mb"], large["own_bound_mb"], "MB"),
    ]


def render(result: Mapping[str, Any]) -> str:
    """Return the page."""
    look_ups = result["look_ups"]
    return "\n".join(
        [
            "# How fast the response cache is",
            "",
            "Whole `lookup` calls on one thread, one after the other, screening included; the cache has its defaults "
            f"and holds {look_ups['entries']:,} entries in one scope, on disk and as far as they fit in memory. The "
            "files of the disk tier are in the system's page cache, as after a while of use. The machine is shared: "
            f"its load before the run was {result['load_before']:.2f}.",
            "",
            markdown_table(["goal", "measured", "bound", "unit", "met"], _goal_rows(result)),
            "## Look-ups",
            "",
            "A similar look-up that hits asks a stored question in its second wording; one that misses asks a new "
            "question. Neither time contains the embedding.",
            "",
            markdown_table(["look-up", "n", "hits", "median ms", "99 % ms", "mean ms"], _look_up_rows(look_ups)),
            _sizes(look_ups),
            "## Embedding one question",
            "",
            markdown_table(["embedder", "n", "median ms", "99 % ms"], _embedder_rows(look_ups["embedding"])),
            "## A large folder",
            "",
            _large(result["large"]),
            "## Made by",
            "",
            provenance_line(result),
        ]
    )


def _goal_rows(result: Mapping[str, Any]) -> Sequence[Sequence[object]]:
    return [
        [goal.what, f"{goal.measured:.3g}", f"below {goal.below:.3g}", goal.unit, "yes" if goal.met else "**no**"]
        for goal in goals(result)
    ]


def _look_up_rows(look_ups: Mapping[str, Any]) -> Sequence[Sequence[object]]:
    names = {
        "exact_memory": "exact, in memory",
        "exact_disk": "exact, on disk",
        "semantic_hit": "similar, hit",
        "semantic_miss": "similar, miss",
    }
    return [
        [name, row["n"], row["hits"], *(f"{row[rank]:.3f}" for rank in ("p50_ms", "p99_ms", "mean_ms"))]
        for name, row in ((name, look_ups[key]) for key, name in names.items())
    ]


def _sizes(look_ups: Mapping[str, Any]) -> str:
    sizes = look_ups["stats"]
    return (
        f"Memory held {sizes['memory_entries']:,} entries ({sizes['memory_mb']:.0f} MB), the index "
        f"{sizes['vectors']:,} vectors, the disk {sizes['disk_entries']:,} entries ({sizes['disk_mb']:.0f} MB).\n"
    )


def _embedder_rows(rows: Mapping[str, Any]) -> Sequence[Sequence[object]]:
    return [[name, row["n"], *(f"{row[rank]:.3f}" for rank in _RANKS)] for name, row in rows.items()]


def _large(large: Mapping[str, Any]) -> str:
    return (
        f"{large['entries']:,} sealed entries with vectors ({large['file_mb']:,.0f} MB, written in "
        f"{large['write_s']:.0f} s straight to the disk tier) were opened by a new process in {large['open_s']:.3f} s; "
        f"the first hit came after {large['first_hit_s']:.3f} s. Exact hits on disk took {_ms(large, 'p50_ms')} "
        f"(median) and {_ms(large, 'p99_ms')} (99th percentile). With more looked up than fits, memory held "
        f"{large['memory_mb']:.1f} of {large['memory_bound_mb']:.1f} MB and the index {large['vectors']:,} of "
        f"{large['max_vectors']:,} vectors; the process's own memory grew by {large['own_growth_mb']:.1f} MB "
        f"(bound of both together: {large['own_bound_mb']:.1f} MB). Beside that, {large['mapped_growth_mb']:,.0f} MB "
        "of the file were mapped and resident: pages that the system takes back when it needs them.\n"
    )


def _ms(large: Mapping[str, Any], rank: str) -> str:
    return f"{large['exact_disk'][rank]:.3f} ms"
