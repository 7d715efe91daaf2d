"""Tokenizers, and the pieces that come out of them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import strategies as st
from livekit.agents.tokenize import SentenceStream, SentenceTokenizer, TokenData

# Parts of replies: ends of sentences and their look-alikes, in many scripts.
PARTS = (
    *("Sure", "Your order was shipped", " ", "  ", "\n", ". ", "! ", "? ", ", ", "; "),
    *(": ", ".", "...", "…", "?!", "—", " – ", '"', "'", "(", ")", "**", "_", "<b>"),
    *("</b>", "<break/>", "<", "Dr. ", "Mag. ", "e.g. ", "a.m. ", "3.5", "1,000"),
    *("jo@example.com", "Hauptstr. ", "😊", "5", "I", "/", "今日は", "。", "，", "！"),
    *("「", "」", "五", "हाँ", "।", "نعم", "؟", "۔", "네. ", "Да. ", "สวัสดี", "ดร. "),
    *("េ", "។", "។ល។", "ဟုတ်", "။", "ሰላም", "።", "\u200d", "\u0301", "word " * 20),
    *("字" * 90, "7" * 90, "สวัสดี" * 20, '<say as="' + "x" * 90),
)
replies = st.lists(st.sampled_from(PARTS), max_size=40).map("".join)
cuts = st.lists(st.integers(0, 500), max_size=20)


class OneTokenTokenizer(SentenceTokenizer):
    """Cuts nothing: every cut is one of the tokenizer around it. Streams each push as a token."""

    def __init__(self) -> None:
        # The calls of its streams, in order.
        self.calls: list[str] = []
        # The language of each stream and text.
        self.languages: list[str | None] = []

    def tokenize(self, text: str, *, language: str | None = None) -> list[str]:
        self.languages.append(language)
        return [text]

    def stream(self, *, language: str | None = None) -> SentenceStream:
        self.languages.append(language)
        return _PushedStream(self.calls)


class _PushedStream(SentenceStream):
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


def cut(text: str, cuts: list[int]) -> list[str]:
    """The same text in parts, some of them empty."""
    ends = [0, *sorted(at % (len(text) + 1) for at in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(ends)]


async def tokens_of(stream: SentenceStream) -> list[str]:
    return [data.token async for data in stream]


async def pieces(tokenizer: SentenceTokenizer, texts: Iterable[str]) -> list[str]:
    """All pieces of a reply that is pushed in these parts."""
    stream = tokenizer.stream()
    for text in texts:
        stream.push_text(text)
    stream.end_input()
    return await tokens_of(stream)


async def released(tokenizer: SentenceTokenizer, text: str) -> list[str]:
    """The pieces that are out while the reply may continue after this text."""
    stream = tokenizer.stream()
    stream.push_text(text)
    await stream.aclose()
    return await tokens_of(stream)


def assert_closed(stream: SentenceStream) -> None:
    """Each call that would take more text is refused."""
    for call in (partial(stream.push_text, "x"), stream.flush, stream.end_input):
        with pytest.raises(RuntimeError, match="is closed"):
            call()
