"""The part of an output that is the answer: reasoning left out, invented further turns and questions cut off.

An output whose reasoning was never closed has no answer, whatever the reasoning says. Knows no options.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Problem: TypeAlias = Literal["", "empty", "unfinished_reasoning"]

_NAMES: Final = "think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis|inner_monologue"
_MARK: Final = re.compile(
    rf"(?P<open><(?:{_NAMES})>|\[THINK\]|<\|begin_of_thought\|>|◁think▷)"
    rf"|(?P<close></(?:{_NAMES})>|\[/THINK\]|<\|end_of_thought\|>|◁/think▷)",
    re.IGNORECASE,
)
# Channels of gpt-oss, with its markers and as they read when a decoder has dropped them.
_FINAL_CHANNEL: Final = re.compile(r"<\|channel\|>\s*final\s*(?:<\|[^|]*\|>[^<]*)?<\|message\|>|(?<=\S)assistantfinal")
_OTHER_CHANNEL: Final = re.compile(r"<\|channel\|>\s*(?:analysis|commentary)|\A\s*analysis(?=[A-Z])")
_THINKING_HEADING: Final = re.compile(r"\A\s*#+\s*(?:thinking|reasoning|thought process)\b[^\n]*\n", re.IGNORECASE)
_ANSWER_HEADING: Final = re.compile(r"^\s*#+\s*(?:final )?(?:response|answer)\b[^\n]*$", re.IGNORECASE | re.MULTILINE)
_TURN_END: Final = re.compile(
    r"<\|(?:im_end|im_start|eot_id|end|endoftext|end_of_text|start_header_id|return|user|assistant)\|>"
    r"|</s>|<end_of_turn>|<start_of_turn>|\[/?INST\]"
)
_NEXT_TURN: Final = re.compile(
    r"\n[ \t]*(?:#+[ \t]*)?(?:\*\*)?(?:question|q|user|human|problem|exercise|example|case)[ \t]*\d*[ \t]*(?:\*\*)?:",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Section:
    """The answer part of an output, or why there is none."""

    text: str
    problem: Problem = ""


def answer_section(output: str) -> Section:
    """Return the answer part of an output."""
    spoken = _outside_reasoning(_final_channel(output))
    if spoken is None:
        return Section("", "unfinished_reasoning")
    text = _first_turn(spoken).strip()
    return Section(text, "" if text else "empty")


def _final_channel(output: str) -> str | None:
    finals = list(_FINAL_CHANNEL.finditer(output))
    if finals:
        return output[finals[-1].end() :]
    return None if _OTHER_CHANNEL.search(output) else output


def _outside_reasoning(text: str | None) -> str | None:
    """Return what lies outside reasoning; None when a reasoning is open at the end.

    Any closing mark closes all that is open, and one that closes nothing makes reasoning of all before it: templates
    write the opening mark into the prompt.
    """
    if text is None:
        return None
    kept: list[str] = []
    at, is_open = 0, False
    for mark in _MARK.finditer(text):
        if mark["open"]:
            if not is_open:
                kept.append(text[at : mark.start()])
            is_open = True
            continue
        if not is_open:
            kept.clear()
        is_open, at = False, mark.end()
    return None if is_open else _outside_headings("\n".join([*kept, text[at:]]))


def _outside_headings(text: str) -> str | None:
    if not _THINKING_HEADING.match(text):
        return text
    answers = list(_ANSWER_HEADING.finditer(text))
    return text[answers[-1].end() :] if answers else None


def _first_turn(text: str) -> str:
    """Cut what follows the end of the turn, or a question the model put to itself."""
    while lead := _TURN_END.match(text.lstrip()):
        text = text.lstrip()[lead.end() :]
    end = _TURN_END.search(text)
    text = text[: end.start()] if end else text
    begins = len(text) - len(text.lstrip())
    following = _NEXT_TURN.search(text, begins + 1) if begins < len(text) else None
    return text[: following.start()] if following else text
