"""The text that a voice model is asked to reply to."""

from __future__ import annotations

from typing import Any

from livekit.agents import llm

from livekit_plugins_speko._text import PAGE_CONTEXT
from livekit_plugins_speko.realtime.typed_text import MAX_CONTEXT, TypedText


def message(text: str, role: Any = "user", **extra: bool) -> llm.ChatMessage:
    return llm.ChatMessage(role=role, content=[text], extra=extra)


def context(text: str) -> llm.ChatMessage:
    return message(text, **{PAGE_CONTEXT: True})


def test_last_words_of_the_caller_are_taken_once() -> None:
    typed = TypedText()
    typed.add([message("One."), message("Two.")])
    assert (typed.take(), typed.take()) == ("Two.", None)


def test_words_that_were_answered_are_not_taken() -> None:
    typed = TypedText()
    typed.add([message("One."), message("Reply.", "assistant")])
    assert typed.take() is None


def test_context_waits_for_words_and_is_bounded() -> None:
    typed = TypedText()
    typed.add(context(f"Context {number}.") for number in range(MAX_CONTEXT + 1))
    assert typed.take() is None
    typed.add([message("One.")])
    lines = (typed.take() or "").splitlines()
    assert lines == [*(f"Context {number}." for number in range(1, MAX_CONTEXT + 1)), "One."]
