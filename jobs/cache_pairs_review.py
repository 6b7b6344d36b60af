"""`python -m jobs.cache_pairs_review`: every pair among thousands of different questions, and the verdict on each hit.

Questions of a corpus that differ after folding case and white space are sampled, profiled once and compared, each with
each. Hits go to a JSON file beside the verdicts of a committed review; a hit without a verdict is counted as open. Rows
done are kept in `--progress`, so that a run that was stopped goes on where it was. The page is rendered from the JSON.
"""

import argparse
import hashlib
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Final, TypeAlias

from medray.errors import DataError
from medray.inference.response_cache.bounds import upper_bound
from medray.inference.response_cache.equivalence import Profile, compare, profile, rules_version
from medray.report import markdown_table, provenance, provenance_line

COMMAND: Final = "python -m jobs.cache_pairs_review"
RESULT: Final = Path("docs/results/cache_all_pairs.json")
REVIEW: Final = Path("docs/results/cache_all_pairs_review.jsonl")
PAGE: Final = Path("docs/cache-all-pairs.md")
_QUESTIONS: Final = Path("../shared/data/medquad_questions.parquet")
SPELLING: Final = "spelling, plural, word order of a title or an abbreviation beside its name"
_BLOCK: Final = 250
_SPACE: Final = re.compile(r"\W+")

Hit: TypeAlias = tuple[int, int]
Equivalent: TypeAlias = Callable[[Profile, Profile], bool]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, join with the review, write JSON and page."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--questions", type=Path, default=_QUESTIONS, help="a parquet file with a column `question`")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--progress", type=Path, default=Path("all_pairs.progress.jsonl"))
    parser.add_argument("--review", type=Path, default=REVIEW)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--page", type=Path, default=PAGE)
    chosen = parser.parse_args(arguments)
    everything = distinct(_read_questions(chosen.questions))
    sample = random.Random(chosen.seed).sample(everything, min(chosen.count, len(everything)))  # noqa: S311 - a sample
    started = time.perf_counter()
    profiles = [profile(question) for question in sample]
    profiled = time.perf_counter()
    hits = all_pairs(profiles, chosen.progress, _fingerprint(sample))
    compared = time.perf_counter()
    result = summary(sample, hits, read_review(chosen.review)) | {
        "profile_ms": 1e3 * (profiled - started) / len(sample),
        "compare_us": 1e6 * (compared - profiled) / max(1, len(sample) * (len(sample) - 1) // 2),
        "whole_corpus": summary(everything, equal_pairs(everything), read_review(chosen.review)),
        "rules_version": rules_version(),
        "provenance": provenance(seed=chosen.seed, config_hash=_fingerprint(sample)[:16], command=COMMAND.split()),
    }
    chosen.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    chosen.page.write_text(render(result), encoding="utf-8")
    chosen.progress.unlink(missing_ok=True)
    whole = result["whole_corpus"]
    print(f"{result['pairs']} pairs, {len(hits)} hits; {whole['pairs']} pairs, {len(whole['hits'])} hits in the corpus")
    print(f"without a verdict: {whole['open']}, harmful: {whole['harmful']}")
    return 1 if whole["open"] or whole["harmful"] else 0


def distinct(questions: Iterable[str]) -> list[str]:
    """Return the questions that differ in more than case, white space and punctuation; sorted."""
    found: dict[str, str] = {}
    for question in sorted(questions):
        found.setdefault(_SPACE.sub(" ", question.casefold()).strip(), question)
    return list(found.values())


def all_pairs(
    profiles: Sequence[Profile], progress: Path, fingerprint: str, equivalent: Equivalent | None = None
) -> list[Hit]:
    """Compare each with each; rows that `progress` holds for the same questions and rules are not compared again."""
    done = dict(_done(progress, fingerprint))
    hits = [hit for found in done.values() for hit in found]
    for first in range(0, len(profiles), _BLOCK):
        if first in done:
            continue
        found = list(_block(profiles, first, equivalent or _equivalent))
        hits += found
        with progress.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"of": fingerprint, "first": first, "hits": found}) + "\n")
    return sorted(hits)


def _block(profiles: Sequence[Profile], first: int, equivalent: Equivalent) -> Iterator[Hit]:
    for at in range(first, min(first + _BLOCK, len(profiles))):
        one = profiles[at]
        for other in range(at + 1, len(profiles)):
            if equivalent(one, profiles[other]):
                yield at, other


def _equivalent(first: Profile, second: Profile) -> bool:
    return not compare(first, second)


def _done(progress: Path, fingerprint: str) -> Iterator[tuple[int, list[Hit]]]:
    if not progress.exists():
        return
    for line in progress.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # cut off while it was written: the block is compared again
        if row["of"] == fingerprint:
            yield row["first"], [(a, b) for a, b in row["hits"]]


def read_review(path: Path) -> dict[frozenset[str], dict[str, str]]:
    """Return the verdicts by pair of questions. Raises DataError for another shape."""
    found: dict[frozenset[str], dict[str, str]] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        row = json.loads(line)
        if set(row) != {"a", "b", "verdict", "reason"} or row["verdict"] not in ("harmless", "fixed", "harmful"):
            raise DataError(f"{path.name}, line {number}: expected a, b, verdict (harmless, fixed, harmful) and reason")
        found[frozenset((row["a"], row["b"]))] = row
    return found


def summary(
    questions: Sequence[str], hits: Sequence[Hit], review: Mapping[frozenset[str], Mapping[str, str]]
) -> dict[str, Any]:
    """Join the hits with their verdicts; `fixed` pairs are those of the review that hit no more."""
    rows = []
    for a, b in hits:
        said = review.get(frozenset((questions[a], questions[b])), {"verdict": "open", "reason": ""})
        verdict = "harmful" if said["verdict"] == "fixed" else said["verdict"]  # a fix that does not hold
        rows.append({"a": questions[a], "b": questions[b], "verdict": verdict, "reason": said["reason"]})
    pairs = len(questions) * (len(questions) - 1) // 2
    counted = Counter(row["verdict"] for row in rows)
    return {
        "questions": len(questions),
        "pairs": pairs,
        "hits": rows,
        "harmless": counted["harmless"],
        "harmful": counted["harmful"],
        "open": counted["open"],
        "harmful_bound_95": upper_bound(counted["harmful"] + counted["open"], pairs),
        "fixed": [dict(row) for row in review.values() if row["verdict"] == "fixed"],
    }


def render(result: Mapping[str, Any]) -> str:
    """Return docs/cache-all-pairs.md."""
    whole = result["whole_corpus"]
    told = [row for row in whole["hits"] if row["reason"] != SPELLING]
    return "\n".join(
        [
            "# All pairs of different questions",
            "",
            f"{result['questions']:,} questions of MedQuAD that differ in more than case, white space and punctuation, "
            f"sampled at random and each compared with each by the equivalence rules: {_counts(result)}.",
            "",
            f"All {whole['questions']:,} different questions of the corpus, by equality of profiles, which is what "
            f"the rules compare: {_counts(whole)}.",
            "",
            "Every hit was read; *harmless* means that one answer serves both. The rules were changed after harmful "
            "hits were found in this corpus (last table), so this is a check of what they do on it, no estimate for "
            "other questions. Many of the corpus's questions are a title put into a fixed sentence.",
            "",
            f"A profile took {result['profile_ms']:.2f} ms, a comparison {result['compare_us']:.1f} us on one core.",
            "",
            "## Hits in the sample",
            "",
            _table(result["hits"]),
            "## Hits in the corpus",
            "",
            f"{len(whole['hits']) - len(told)} pairs differ in {SPELLING}; the others are:",
            "",
            _table(told),
            "## Harmful hits that were found and fixed",
            "",
            "A test asserts that none of them hits any more.",
            "",
            _table(result["fixed"]),
            provenance_line(result),
        ]
    )


def _counts(found: Mapping[str, Any]) -> str:
    hits = len(found["hits"])
    return (
        f"{found['pairs']:,} pairs, {hits} semantic {'hit' if hits == 1 else 'hits'}, of them "
        f"{found['harmless']} harmless, {found['harmful']} harmful, {found['open']} not read"
    )


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    if not rows:
        return "None.\n"
    cells = [[row["a"], row["b"], row["verdict"], row["reason"]] for row in rows]
    return markdown_table(["one question", "the other", "verdict", "reason"], cells)


def equal_pairs(questions: Sequence[str]) -> list[Hit]:
    """Return the pairs that hit, found by grouping: two questions are equivalent if and only if profiles are equal."""
    groups: dict[Profile, list[int]] = {}
    for at, question in enumerate(questions):
        groups.setdefault(profile(question), []).append(at)
    return sorted(pair for group in groups.values() for pair in combinations(group, 2))


def _read_questions(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    if not path.exists():
        raise DataError(f"expected questions at {path}, got no file: check --questions")
    questions: list[str] = pq.read_table(path, columns=["question"])["question"].to_pylist()
    return questions


def _fingerprint(questions: Sequence[str]) -> str:
    return hashlib.sha256("\n".join([rules_version(), *questions]).encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
