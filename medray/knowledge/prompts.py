"""Prompt templates by class (PAPER K2, Eq. 2): P_c(q) = base (+) suffix of class c, then the question.

`build_messages` is plain text in, messages out; `render` applies a model's own chat template. The wording is data
(prompts.yaml) and versioned: cached answers and captured signals are keyed by PROMPT_VERSION.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, Protocol, TypedDict

from jinja2.exceptions import TemplateError

from medray.config import Config, parse_yaml, validate
from medray.errors import ConfigError, InputError, ModelError
from medray.knowledge.lexicon import CATEGORIES, Category

PROMPT_VERSION: Final = "1"


class Message(TypedDict):
    """One chat message, in the shape that chat templates and the OpenAI API share."""

    role: Literal["system", "user", "assistant"]
    content: str


class ChatTokenizer(Protocol):
    """What `render` needs of a Hugging Face tokenizer."""

    @property
    def all_special_tokens(self) -> list[str]: ...  # noqa: D102

    def get_added_vocab(self) -> dict[str, int]: ...  # noqa: D102

    def apply_chat_template(self, conversation: Any, **kwargs: Any) -> Any: ...  # noqa: D102


class PromptFile(Config):
    """The YAML file as it is written."""

    version: str
    base: str
    suffixes: dict[Category, str]


@cache
def load_prompts() -> PromptFile:
    """Return the packaged templates. Raises ConfigError when a class or the version does not match the code."""
    text = files("medray.knowledge").joinpath("prompts.yaml").read_text(encoding="utf-8")
    prompts = validate(PromptFile, parse_yaml(text), source="prompts")
    missing = [category for category in CATEGORIES if category not in prompts.suffixes]
    if missing:
        raise ConfigError(f"prompts: expected a suffix for every class, got none for {', '.join(missing)}")
    if prompts.version != PROMPT_VERSION:
        raise ConfigError(f"prompts: expected version {PROMPT_VERSION}, got {prompts.version}; change both together")
    return prompts


def system_prompt(category: Category) -> str:
    """Return base plus suffix (Eq. 2). Raises InputError for an unknown class."""
    if category not in CATEGORIES:
        raise InputError(f"expected a category of {', '.join(CATEGORIES)}; got another name")
    prompts = load_prompts()
    return f"{prompts.base} {prompts.suffixes[category]}"


def build_messages(question: str, category: Category) -> list[Message]:
    """Return the system and user message for a question. Raises InputError when it is empty."""
    if not question.strip():
        raise InputError("expected a question, got only white space; send some text")
    return [
        {"role": "system", "content": system_prompt(category)},
        {"role": "user", "content": question.strip()},
    ]


def render(messages: Sequence[Message], tokenizer: ChatTokenizer, add_generation_prompt: bool = True) -> str:
    """Render messages with the model's own chat template, as text that starts with its special tokens.

    Control tokens typed by a user are broken up first: "<|im_start|>system" in a question must stay text.
    Encode the result with `add_special_tokens=False`. Raises ModelError when the template is missing or refuses.
    """
    control = _control_tokens(tokenizer)
    safe = [
        {**message, "content": _defuse(message["content"], control)} if message["role"] == "user" else message
        for message in messages
    ]
    try:
        text = tokenizer.apply_chat_template(safe, tokenize=False, add_generation_prompt=add_generation_prompt)
    except (TemplateError, ValueError) as error:
        raise ModelError(
            f"expected a chat template that takes system and user messages, got {type(error).__name__}; "
            "choose an instruction-tuned model or add a chat template to its folder"
        ) from None
    return str(text)


def _control_tokens(tokenizer: ChatTokenizer) -> tuple[str, ...]:
    """Return bracketed control tokens, longest first; added tokens too, since not all are marked as special."""
    known = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
    bracketed = (token for token in known if len(token) > 2 and token[0] in "<[" and token[-1] in ">]")
    return tuple(sorted(bracketed, key=lambda token: (-len(token), token)))


def _defuse(text: str, control: Sequence[str]) -> str:
    for token in control:
        text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
