"""`python -m jobs.cache_held_out`: the equivalence rules on pairs that their writers had not seen, as one JSON object.

Input: two JSON-lines files, minimal pairs (`a`, `b`, `kind`) and paraphrases (`a`, `b`). A row with `disputed` (reason)
is labelled wrongly in the eyes of a reviewer; it stays in the file and is counted both ways. Pairs are named by place.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from medray.errors import DataError
from medray.inference.response_cache.bounds import upper_bound
from medray.inference.response_cache.equivalence import compare, profile, rules_version
from medray.report import markdown_table, provenance, provenance_line

_COMMAND: Final = "python -m jobs.cache_held_out"
PAGE: Final = Path("docs/cache-equivalence.md")
RESULTS: Final = tuple(
    Path(f"docs/results/cache_equivalence_{name}.json")
    for name in ("blind_a", "after_a", "blind_b", "after_b", "earlier_c", "blind_c", "after_c")
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(prog=_COMMAND, description=__doc__)
    parser.add_argument("--minimal", type=Path)
    parser.add_argument("--paraphrases", type=Path)
    parser.add_argument("--name", default="held-out", help="what the set is called")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--page-only", action="store_true", help="make the page from the results that are there")
    chosen = parser.parse_args(arguments)
    if chosen.page_only:
        PAGE.write_text(render([json.loads(path.read_text(encoding="utf-8")) for path in RESULTS]), encoding="utf-8")
        return 0
    if not (chosen.minimal and chosen.paraphrases and chosen.out):
        parser.error("expected --minimal, --paraphrases and --out, or --page-only")
    result = measure(chosen.minimal, chosen.paraphrases, chosen.name)
    chosen.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: result[name] for name in ("false_hits", "paraphrases_hit")}))
    return 0


def render(results: Sequence[dict[str, Any]]) -> str:
    """Return docs/cache-equivalence.md from the results, in the order given."""
    rows = [
        [
            found["set"],
            f"{found['false_hits']['hits']} of {found['false_hits']['n']}",
            f"{found['false_hits']['bound_95']:.2%}",
            f"{found['paraphrases_hit']['hits']} of {found['paraphrases_hit']['n']}",
            f"{found['paraphrases_hit']['hits'] / found['paraphrases_hit']['n']:.1%}",
            found["provenance"]["commit"],
        ]
        for found in results
    ]
    disputed = sum(found["false_hits"]["n"] - found["false_hits_undisputed"]["n"] for found in results)
    return "\n".join(
        [
            "# The equivalence rules on pairs they had not seen",
            "",
            "Three sets of pairs were written by someone who had not seen the rules, and each was measured once before "
            "the rules' writers read it. The goal, no false hit and 85 % of paraphrases, is met for none: too few "
            "paraphrases hit, and set b found one false hit (a verb that no list held, between two medicines). "
            "The rules were then changed with the misses in view and the false hit was fixed, so the later rows are no "
            "estimate for unseen questions; the rows `before its pairs were read` are. Before set c the rules were "
            "widened for wordings in general, which the row of the rules before shows the gain of; it is far "
            "from the goal.",
            "",
            markdown_table(["set", "false hits", "95 % bound", "paraphrases hit", "rate", "commit"], rows),
            f"Rows whose label is disputed: {disputed}.",
            "",
            provenance_line(results[-1]),
        ]
    )


def measure(minimal: Path, paraphrases: Path, name: str) -> dict[str, Any]:
    """Return the counts of a set. Raises DataError for a file that is no list of pairs."""
    different, same = _read(minimal), _read(paraphrases)
    kinds: dict[str, list[bool]] = {}
    for row in different:
        kinds.setdefault(row["kind"], []).append(row["hit"])
    content = minimal.read_bytes() + paraphrases.read_bytes()
    return {
        "set": name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "rules_version": rules_version(),
        "false_hits": _counted(different),
        "false_hits_undisputed": _counted([row for row in different if not row.get("disputed")]),
        "by_kind": {kind: {"n": len(hits), "hits": sum(hits)} for kind, hits in sorted(kinds.items())},
        "false_hit_lines": [row["line"] for row in different if row["hit"]],
        "paraphrases_hit": _counted(same),
        "paraphrases_hit_undisputed": _counted([row for row in same if not row.get("disputed")]),
        "missed_lines": [row["line"] for row in same if not row["hit"]],
        "provenance": provenance(seed=None, config_hash=rules_version(), command=_COMMAND.split()),
    }


def _counted(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    hits = sum(row["hit"] for row in rows)
    bound = {"bound_95": upper_bound(hits, len(rows))} if rows else {}
    return {"n": len(rows), "hits": hits, **bound}


def _read(path: Path, equivalent: Callable[[str, str], bool] | None = None) -> list[dict[str, Any]]:
    equivalent = equivalent or _equivalent
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            rows.append({**row, "kind": row.get("kind"), "line": number, "hit": equivalent(row["a"], row["b"])})
        except (ValueError, TypeError, KeyError):
            raise DataError(f"{path.name}, line {number}: expected an object with texts a and b") from None
    return rows


def _equivalent(a: str, b: str) -> bool:
    return not compare(profile(a), profile(b))


if __name__ == "__main__":
    sys.exit(main())
