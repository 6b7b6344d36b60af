"""The replay's section of docs/cache-latency.md: every number comes from the JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from medray.report import markdown_table, provenance_line

_NAMES = {
    "exact": "hit, same question",
    "semantic": "hit, similar question",
    "miss": "computed and kept",
    "miss_truncated": "computed, cut short: not kept",
    "not_cacheable": "computed, not cacheable (personal or emergency)",
}


def render(result: Mapping[str, Any]) -> str:
    """Return the section."""
    config = result["config"]
    return "\n".join(
        [
            "## A replay through an engine",
            "",
            f"{result['requests']:,} questions, one after the other, to `{config['model']}` on its reference engine "
            f"behind a cache with its defaults. {result['intents']} intents, {result['medquad_intents']} of them "
            "MedQuAD topics in three wordings of our own each, the others labelled paraphrases (which the writers of "
            f"the rules saw); popularity follows Zipf's law with exponent {config['exponent']}, wordings are drawn "
            f"evenly. An answer ends with its first sentence or at {config['max_tokens']} tokens; one that is cut "
            "short is not kept.",
            "",
            markdown_table(["outcome", "questions", "share"], _outcome_rows(result)),
            _rate(result),
            markdown_table(["time of a question", "n", "median ms", "mean ms"], _time_rows(result)),
            _fairness(result),
            "### Made by",
            "",
            provenance_line(result),
        ]
    )


def hit_rate(result: Mapping[str, Any]) -> float:
    """Return the share of all questions that were answered from the cache."""
    outcomes = result["outcomes"]
    return float((outcomes.get("exact", 0) + outcomes.get("semantic", 0)) / result["requests"])


def _outcome_rows(result: Mapping[str, Any]) -> Sequence[Sequence[object]]:
    outcomes, n = result["outcomes"], result["requests"]
    return [[name, outcomes.get(key, 0), f"{outcomes.get(key, 0) / n:.1%}"] for key, name in _NAMES.items()]


def _rate(result: Mapping[str, Any]) -> str:
    n, first = result["requests"], result["first_of_their_intent"]
    without, with_cache = (result[name]["mean_ms"] for name in ("without_cache", "with_cache"))
    return (
        f"Hit rate {hit_rate(result):.1%}; {first:,} questions were the first of their intent, so {1 - first / n:.1%} "
        f"was possible. Mean time {with_cache:,.0f} ms with the cache, {without:,.0f} ms without: "
        f"{1 - with_cache / without:.1%} less. {len(result['across_intents'])} hits came from another intent "
        "(listed as `across_intents` in the JSON).\n"
    )


def _time_rows(result: Mapping[str, Any]) -> Sequence[Sequence[object]]:
    names = {
        "with_cache": "with the cache",
        "without_cache": "without (hits charged what their answer took)",
        "hits": "hits alone",
        "computations": "computations alone",
    }
    return [
        [name, result[key]["n"], f"{result[key]['p50_ms']:,.2f}", f"{result[key]['mean_ms']:,.2f}"]
        for key, name in names.items()
        if result[key]["n"]
    ]


def _fairness(result: Mapping[str, Any]) -> str:
    again = result["hits_computed_again"]
    if not again["anew"]["n"]:
        return ""
    anew, charged, threads = again["anew"], again["charged"], result["config"]["threads"]
    return (
        f"{anew['n']} of the hits were computed after all, at once: {anew['mean_ms']:,.0f} ms on average (median "
        f"{anew['p50_ms']:,.0f}), where {charged['mean_ms']:,.0f} ms (median {charged['p50_ms']:,.0f}) had been "
        f"charged. The engine ran on {threads} thread(s) and got {result['engine_cpu_share']:.2f} processors on "
        "average: less than its threads means that others slowed it down.\n"
    )
