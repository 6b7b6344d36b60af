"""One form for each written word: case, accents, British spelling, plurals and verb endings.

A raw word goes in, its normal forms come out (two when the word is a contraction: `don't` -> `do not`). Endings are
taken off only where the result is a known verb or a regular plural, so that an unknown name, such as a drug that no
lexicon holds, never turns into another. Pure; the data are in `data/forms.yaml`. It knows words, not medicine.
"""

import unicodedata
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

from medray.config import parse_yaml

_KEPT_ENDINGS: Final = ("ss", "us", "is", "os", "as")
_ES_ENDINGS: Final = ("ches", "shes", "xes", "sses", "zes")
_CONTRACTED: Final = ("'s", "'re", "'ve", "'ll", "'d", "'m")
_SUBJECTS: Final = frozenset(
    {"what", "how", "who", "where", "when", "that", "it", "there", "he", "she", "why", "which"}
)
_NEGATED: Final = {
    "can't": ("can", "not"),
    "won't": ("will", "not"),
    "shan't": ("shall", "not"),
    "ain't": ("be", "not"),
}
_FUSED: Final = {
    "cannot": ("can", "not"), "cant": ("can", "not"), "dont": ("do", "not"), "doesnt": ("do", "not"),
    "didnt": ("do", "not"), "isnt": ("be", "not"), "arent": ("be", "not"), "wasnt": ("be", "not"),
    "shouldnt": ("should", "not"), "wouldnt": ("would", "not"), "couldnt": ("could", "not"), "wont": ("will", "not"),
    "whats": ("what", "be"), "hows": ("how", "be"), "whos": ("who", "be"), "im": ("i",),
    "ive": ("i", "have"), "id": ("i",), "wanna": ("want", "to"),
    "mustnt": ("must", "not"), "havent": ("have", "not"), "hasnt": ("have", "not"),
}  # fmt: skip
_APOSTROPHES: Final = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "´": "'", "`": "'"})


class _Forms(NamedTuple):
    spelling: tuple[tuple[str, str], ...]
    irregular: dict[str, str]
    verbs: frozenset[str]


def parse_table(text: str) -> dict[str, list[str]]:
    """Read `name: item, item` lines into {name: [items]}."""
    table: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, items = line.partition(":")
        if name.strip():
            table.setdefault(name.strip(), []).extend(
                item.strip().strip('"') for item in items.split(",") if item.strip()
            )
    return table


@cache
def _forms() -> _Forms:
    data = parse_yaml(files("medray.knowledge.entities").joinpath("data/forms.yaml").read_text(encoding="utf-8"))
    spelling = tuple((old, new[0]) for old, new in parse_table(data["spelling"]).items())
    irregular = {form: lemma[0] for form, lemma in parse_table(data["irregular"]).items()}
    return _Forms(spelling, irregular, frozenset(data["verbs"].split()))


def known_verbs() -> frozenset[str]:
    """Return the verbs whose endings are taken off, in their base form."""
    return _forms().verbs


@lru_cache(maxsize=65536)
def normal_forms(word: str) -> tuple[str, ...]:
    """Return the normal forms of one raw word; more than one for a contraction.

    `Oestrogens` -> (`estrogen`,), `children` -> (`child`,), `shouldn't` -> (`should`, `not`).
    """
    folded = _fold(word)
    if folded in _FUSED:
        return _FUSED[folded]
    if "'" in folded:
        return _contraction(folded)
    return (_base(folded),)


def _fold(word: str) -> str:
    text = unicodedata.normalize("NFKC", word).casefold().translate(_APOSTROPHES)
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(char for char in decomposed if not unicodedata.combining(char)).replace("μ", "u")


def _contraction(word: str) -> tuple[str, ...]:
    if word in _NEGATED:
        return _NEGATED[word]
    if word.endswith("n't"):
        return (_base(word[:-3]), "not")
    stem, _, ending = word.partition("'")
    if ending == "s" and stem in _SUBJECTS:
        return (stem, "be")
    for ending in _CONTRACTED:
        if word.endswith(ending):
            return (_base(word[: -len(ending)].replace("'", "")),)
    return (_base(word.replace("'", "")),)


def _base(word: str) -> str:
    """Return the base form; spelling is changed only where the word is no known form as it stands (`advised`)."""
    lemma = _lemma(word)
    american = _american(lemma)
    return american if american == lemma else _lemma(american)


def _american(word: str) -> str:
    if len(word) < 4:
        return word
    for old, new in _forms().spelling:
        if old in word:
            word = word.replace(old, new)
    return word


def _lemma(word: str) -> str:
    forms = _forms()
    known = forms.irregular.get(word)
    if known is not None:
        return known
    if word in forms.verbs or len(word) < 4:
        return word
    verb = _verb(word, forms.verbs)
    return verb if verb is not None else _singular(word)


def _verb(word: str, verbs: frozenset[str]) -> str | None:
    """Return the known verb that `word` is a form of, or None."""
    for ending in ("ing", "ed", "es", "s", "d"):
        if not word.endswith(ending):
            continue
        stem = word[: -len(ending)]
        for candidate in (stem, stem + "e", stem[:-1] + "y" if stem.endswith("i") else stem):
            if candidate in verbs:
                return candidate
        if len(stem) > 2 and stem[-1] == stem[-2] and stem[:-1] in verbs:
            return stem[:-1]
    return None


def _singular(word: str) -> str:
    if not word.endswith("s") or word.endswith(_KEPT_ENDINGS):
        return word
    if word.endswith("aches"):
        return word[:-1]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(_ES_ENDINGS):
        return word[:-2]
    return word[:-1]
