"""Tokenizers for a reply's first words, and what comes out of them."""

from __future__ import annotations

from collections.abc import Iterable

from livekit.agents import tokenize
from livekit.agents.tokenize import (
    BufferedSentenceStream,
    SentenceStream,
    SentenceTokenizer,
    TokenData,
)

from livekit_plugins_speko.tts.first_words import First, FirstWordsTokenizer

BASIC = tokenize.basic.SentenceTokenizer(retain_format=True)


class UncutTokenizer(SentenceTokenizer):
    """It cuts nothing: whatever is cut was cut by the tokenizer around it."""

    def tokenize(self, text: str, *, language: str | None = None) -> list[str]:
        return [text]

    def stream(self, *, language: str | None = None) -> SentenceStream:
        return BufferedSentenceStream(tokenizer=self.tokenize, min_token_len=1, min_ctx_len=1)


class NotedStream(SentenceStream):
    """Hands on each text that is pushed as it comes."""

    def __init__(self, calls: list[str]) -> None:
        super().__init__()
        self._calls = calls

    def push_text(self, text: str) -> None:
        self._calls.append(text)
        self._event_ch.send_nowait(TokenData(token=text))

    def flush(self) -> None:
        self._calls.append("<flush>")

    def end_input(self) -> None:
        self._calls.append("<end>")
        self._do_close()

    async def aclose(self) -> None:
        self._calls.append("<close>")
        self._do_close()


class NotedTokenizer(SentenceTokenizer):
    """Writes down what it is asked for, and makes any text these tokens."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = list(tokens)
        # What its streams were told, in order.
        self.calls: list[str] = []
        # Each text and language that it was asked about; streams have no text.
        self.asked: list[tuple[str | None, str | None]] = []

    def tokenize(self, text: str, *, language: str | None = None) -> list[str]:
        self.asked.append((text, language))
        return self._tokens

    def stream(self, *, language: str | None = None) -> SentenceStream:
        self.asked.append((None, language))
        return NotedStream(self.calls)


def first_words(
    first: First = "sentence", tokenizer: SentenceTokenizer = BASIC
) -> FirstWordsTokenizer:
    return FirstWordsTokenizer(tokenizer=tokenizer, first=first)


async def tokens_of(stream: SentenceStream) -> list[str]:
    return [data.token async for data in stream]


async def spoken(tokenizer: SentenceTokenizer, texts: Iterable[str]) -> list[str]:
    """All that comes of a reply written in these pieces."""
    stream = tokenizer.stream()
    for text in texts:
        stream.push_text(text)
    stream.end_input()
    return await tokens_of(stream)


async def released(tokenizer: SentenceTokenizer, texts: Iterable[str]) -> list[str]:
    """What has come out when so much of a reply is written, and no more of it known."""
    stream = tokenizer.stream()
    for text in texts:
        stream.push_text(text)
    await stream.aclose()
    return await tokens_of(stream)
