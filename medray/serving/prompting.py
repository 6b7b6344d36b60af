"""From a client's conversation to the engine's messages: classify the question, put our system prompt first.

The last user message is classified (PAPER K1) and chooses the prompt (K2). A client's own system text is kept, after
ours and in the same message: many chat templates know one system message only, and ours must not be displaced. The
other turns stay as they are and in order.
"""

from collections.abc import Sequence

from medray.inference.engine import Message
from medray.knowledge import Classification, build_messages, classify
from medray.serving.api import ChatMessage


def question_of(messages: Sequence[ChatMessage]) -> str:
    """Return the text of the last user message; the request was checked to have one."""
    return next(message.text for message in reversed(messages) if message.role == "user")


def compose(messages: Sequence[ChatMessage]) -> tuple[Classification, tuple[Message, ...]]:
    """Return the class of the question and what the engine shall see."""
    question = question_of(messages)
    found = classify(question)
    own = build_messages(question, found.category)[0]["content"]
    theirs = [message.text.strip() for message in messages if message.role == "system" and message.text.strip()]
    turns = [Message(message.role, message.text) for message in messages if message.role != "system"]
    return found, (Message("system", "\n\n".join([own, *theirs])), *turns)
