"""The stages of a call: a healthy answer of each, and the output of any answer."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Intent, SpekoLLM, SpekoSTT, SpekoTTS
from tests.helpers.raw_server import events
from tests.helpers.support import conversation, frame, tone

# Output of a call: words (str), or samples (bytes).
Heard: TypeAlias = Any
Hear: TypeAlias = Callable[[Heard], None]

ROUTE = {"provider": "acme", "model": "acme-2", "failoverCount": 0, "scoresRunId": None}
REQUEST = "Book a table for two at eight please"
# Noise, no two parts of which are alike: 0.4 s of int16 mono at 24000 Hz.
SPEECH = np.random.default_rng(7).integers(-9000, 9000, 9_600).astype("<i2").tobytes()
EVENT_STREAM = "text/event-stream"
JSON = "application/json"


def event(name: str, data: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return events((name, json.dumps(data))).encode()


def cut(data: bytes, size: int) -> list[bytes]:
    """Bytes in pieces of a size; the last one may be shorter."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def interim(words: int) -> bytes:
    """The transcript after so many words of the request."""
    text = " ".join(REQUEST.split()[:words])
    return event("transcript", {"text": text, "isFinal": False, "confidence": None})


class Stage(ABC):
    """A kind of call.

    Attributes:
        name: The part of the table that its rows belong to.
        route: The service's name for it.
        content_type: The type of a healthy answer.
        pieces: A healthy answer.
        unit: What the answer is made of.
        middle: So many of the pieces are half of what it says.
        said: What it says.
        heard_in_the_middle: Whether its first half reaches the caller before the rest comes.
        retried_in_the_middle: Whether LiveKit tries again after that.
    """

    name: ClassVar[str]
    route: ClassVar[str]
    content_type: ClassVar[str]
    pieces: ClassVar[tuple[bytes, ...]]
    unit: ClassVar[str] = "an event"
    middle: ClassVar[int]
    said: ClassVar[Heard]
    heard_in_the_middle: ClassVar[bool]
    retried_in_the_middle: ClassVar[bool]

    @abstractmethod
    def make(self, speko: Any, options: Mapping[str, Any]) -> Any:
        """The adapter that makes the calls."""

    @abstractmethod
    async def call(self, adapter: Any, conn_options: APIConnectOptions, hear: Hear) -> None:
        """Make a call, with LiveKit's retries; `hear` gets each piece of output as it arrives."""


class Transcribe(Stage):
    """Recognition of the caller's words."""

    name = route = "transcribe"
    content_type = EVENT_STREAM
    said = REQUEST
    done: ClassVar[dict[str, Any]] = {"text": said, "confidence": 0.9, **ROUTE}
    pieces = (
        event("meta", ROUTE),
        *(interim(words) for words in range(1, 9)),
        event("done", done),
    )
    middle = 5
    heard_in_the_middle, retried_in_the_middle = False, True

    def make(self, speko: Any, options: Mapping[str, Any]) -> SpekoSTT:
        return SpekoSTT(speko=speko, intent=Intent("en"), **options)

    async def call(self, adapter: Any, conn_options: APIConnectOptions, hear: Hear) -> None:
        speech = frame(tone(rate=16_000))
        recognized = await adapter.recognize(speech, conn_options=conn_options)
        hear(recognized.alternatives[0].text)


class Complete(Stage):
    """The model replies to the caller."""

    name = route = "complete"
    content_type = EVENT_STREAM
    words = ("I", " have", " booked", " your", " table", " for", " eight", " tonight.")
    said = "".join(words)
    done: ClassVar[dict[str, Any]] = {
        "text": said,
        "usage": {"promptTokens": 9, "completionTokens": 8},
        **ROUTE,
    }
    pieces = (
        event("meta", {**ROUTE, "hop": 0}),
        *(event("delta", {"text": word}) for word in words),
        event("done", done),
    )
    middle = 5
    heard_in_the_middle, retried_in_the_middle = True, False

    def make(self, speko: Any, options: Mapping[str, Any]) -> SpekoLLM:
        return SpekoLLM(speko=speko, intent=Intent("en"), **options)

    async def call(self, adapter: Any, conn_options: APIConnectOptions, hear: Hear) -> None:
        async with adapter.chat(chat_ctx=conversation(), conn_options=conn_options) as chunks:
            async for chunk in chunks:
                if chunk.delta and chunk.delta.content:
                    hear(chunk.delta.content)


class Synthesize(Stage):
    """The agent's words are spoken."""

    name = route = "synthesize"
    content_type = "audio/pcm;rate=24000"
    said = SPEECH
    pieces = tuple(cut(SPEECH, 1_920))
    unit, middle = "a sample", 5
    heard_in_the_middle, retried_in_the_middle = True, True

    def make(self, speko: Any, options: Mapping[str, Any]) -> SpekoTTS:
        return SpekoTTS(speko=speko, intent=Intent("en"), **options)

    async def call(self, adapter: Any, conn_options: APIConnectOptions, hear: Hear) -> None:
        async with adapter.synthesize("Hello.", conn_options=conn_options) as audio:
            async for synthesized in audio:
                pcm = bytes(synthesized.frame.data)
                # LiveKit ends audio that came slowly with 10 ms of silence of its own.
                if any(pcm) or not synthesized.is_final:
                    hear(pcm)


class Audio(Synthesize):
    """The agent's words are spoken, in some form of audio."""

    name = "audio"


TRANSCRIBE, COMPLETE, SYNTHESIZE, AUDIO = Transcribe(), Complete(), Synthesize(), Audio()
