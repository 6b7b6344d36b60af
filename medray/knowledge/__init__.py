"""From a question to its class and its prompt: the knowledge stage's light public names (PAPER K1, K2)."""

from medray.knowledge.classification import Classification, classify
from medray.knowledge.lexicon import CATEGORIES, Category
from medray.knowledge.prompts import PROMPT_VERSION, Message, build_messages
from medray.knowledge.prompts import render as render_prompt

__all__ = [
    "CATEGORIES",
    "PROMPT_VERSION",
    "Category",
    "Classification",
    "Message",
    "build_messages",
    "classify",
    "render_prompt",
]
