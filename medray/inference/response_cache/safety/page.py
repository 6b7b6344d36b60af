"""docs/cache-safety.md from the measured figures: every number on the page comes from the JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from medray.report import markdown_table, provenance_line

_PERCENT = "{:.2%}"


def render(result: Mapping[str, Any]) -> str:
    """Return the page."""
    return "\n".join(
        [
            "# How safe the response cache is",
            "",
            "A false hit is an answer served to a question that differs clinically from the one it was given to. The "
            "pairs are of the project's own writing: minimal pairs differ in one decisive element, paraphrases in "
            "none. Bounds are one-sided 95 % Clopper-Pearson upper bounds. The writers of the rules saw the pairs, "
            "so a set nobody has seen may do worse. Research software: nothing here speaks for clinical use.",
            "",
            _summary(result),
            "## False hits by kind of difference",
            "",
            "*Rules*: the equivalence check alone, on every pair. *End to end*: through a cache with its defaults "
            "(every class open, whatever its bound), each pair in a scope of its own; *refused* pairs never came "
            "near it (emergency or personal) and do not count as safe. *Eq. 8 alone*: at the first setting of the "
            "next table.",
            "",
            markdown_table(
                [
                    "kind",
                    "pairs",
                    "rules: false",
                    "bound",
                    "end to end: n",
                    "refused",
                    "false",
                    "bound",
                    "Eq. 8: false",
                ],
                _kind_rows(result),
            ),
            "## Eq. 8 alone",
            "",
            "Settings without the equivalence check, the best of all weights and thresholds on a grid. The static "
            "embedder reads canonical terms, so its rows show what synonyms alone give.",
            "",
            markdown_table(
                ["setting", "a", "threshold", "false hits", "of", "rate", "paraphrases hit", "of"], _eq8_rows(result)
            ),
            "## Classes",
            "",
            f"A class is served from similar questions if its bound is within {result['budget']:.0%}. A class with "
            "too few pairs of its own to prove that (299 without a false hit) is judged by all pairs together.",
            "",
            markdown_table(["class", "pairs", "false", "judged by", "bound", "served"], _class_rows(result)),
            "## A crowded cache",
            "",
            _crowd(result),
            "## Made by",
            "",
            provenance_line(result),
        ]
    )


def _summary(result: Mapping[str, Any]) -> str:
    rules, through = result["rules"]["all"], result["end_to_end"]["all"]
    said, found = result["rules"]["paraphrase"], result["end_to_end"]["paraphrase"]
    alone = result["eq8"][0]
    rows = [
        _line("equivalence check alone", rules, said),
        _line("end to end", through, found),
        [
            f"Eq. 8 alone, {alone['embedder']}, {alone['setting']}",
            f"{alone['false_hits']} of {alone['n']}",
            _percent(alone["bound_95"]),
            f"{alone['paraphrase_hits']} of {alone['paraphrases']}",
            _percent(alone["paraphrase_hits"] / alone["paraphrases"]),
        ],
    ]
    return markdown_table(["", "false hits", "95 % bound", "paraphrases hit", "rate"], rows)


def _line(name: str, minimal: Mapping[str, Any], same: Mapping[str, Any]) -> list[str]:
    return [
        name,
        f"{minimal['hits']} of {minimal['n']}",
        _percent(minimal["bound_95"]),
        f"{same['hits']} of {same['n']}" + (f" ({same['refused']} refused)" if same["refused"] else ""),
        _percent(same["hits"] / same["n"] if same["n"] else 0.0),
    ]


def _kind_rows(result: Mapping[str, Any]) -> Sequence[Sequence[object]]:
    rows = []
    for kind in result["kinds"]:
        rules, through = result["rules"][kind], result["end_to_end"][kind]
        rows.append(
            [
                kind,
                rules["n"],
                rules["hits"],
                _percent(rules["bound_95"]),
                through["n"],
                through["refused"],
                through["hits"],
                _percent(through["bound_95"]),
                result["eq8"][0]["by_kind"][kind],
            ]
        )
    return rows


def _eq8_rows(result: Mapping[str, Any]) -> Sequence[Sequence[object]]:
    return [
        [
            f"{row['embedder']}, {row['setting']}",
            f"{row['jaccard_weight']:.2f}",
            f"{row['threshold']:.2f}",
            row["false_hits"],
            row["n"],
            _percent(row["false_hits"] / row["n"]),
            row["paraphrase_hits"],
            row["paraphrases"],
        ]
        for row in result["eq8"]
    ]


def _class_rows(result: Mapping[str, Any]) -> Sequence[Sequence[object]]:
    return [
        [
            name,
            row["trials"],
            row["false_hits"],
            row["basis"],
            _percent(row["bound_95"]),
            "yes" if row["open"] else "no",
        ]
        for name, row in result["classes"].items()
    ]


def _crowd(result: Mapping[str, Any]) -> str:
    crowd = result["crowded"]
    lines = [
        f"One scope held the first question of all {crowd['asked']} pairs and was asked every second one: "
        f"{len(crowd['own_minimal'])} minimal pairs hit their own partner, {crowd['own_paraphrases']} paraphrases "
        f"theirs, and {len(crowd['across_pairs'])} questions hit the entry of another pair "
        "(listed as `across_pairs` in docs/results/cache_safety.json: pairs of the files that ask the same thing)."
    ]
    return "\n".join(lines) + "\n"


def _percent(value: float) -> str:
    return _PERCENT.format(value)
