"""A voice that notes its requests, adapters around it, and replies in sentences."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from livekit.agents import tokenize, tts
from livekit.agents.tokenize import SentenceStream, TokenData
from livekit.agents.types import (
    DEFAULT_API_CONNECT_OPTIONS,
    USERDATA_TIMED_TRANSCRIPT,
    APIConnectOptions,
)

from livekit_plugins_speko import SpekoTTS
from livekit_plugins_speko.testing import Answer, GatewayRequest, LocalGateway
from livekit_plugins_speko.tts.stream_adapter import SpekoTTSAdapter
from livekit_plugins_speko.tts.tts import SpekoTTSChunkedStream
from tests.helpers import session_line
from tests.helpers.session_line import spoken, without_silence
from tests.helpers.support import NO_RETRY

ONE, TWO, THREE, FOUR, FIVE = SENTENCES = [
    f"This is the {which} sentence." for which in ("first", "second", "third", "fourth", "fifth")
]
REPLY = " ".join(SENTENCES)
# LiveKit's own adapter has to behave the same.
WITH_LIVEKITS = pytest.mark.parametrize("prefetch", [None, 0, 1, 9], ids=str)
EVERY = pytest.mark.parametrize("prefetch", [0, 1, 9])
BASIC = tokenize.basic.SentenceTokenizer(retain_format=True)


class Voice(SpekoTTS):
    """Speaks as any `SpekoTTS`.

    Attributes:
        texts: Those of its requests, in order.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"intent": {"language": "en"}, **options})
        self.texts: list[str] = []

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> SpekoTTSChunkedStream:
        self.texts.append(text)
        return super().synthesize(text, conn_options=conn_options)


class EachPush(tokenize.SentenceTokenizer):
    """Takes each piece of text that is pushed for a sentence; breaks at "broken".

    Attributes:
        streams: Those it has made.
    """

    def __init__(self) -> None:
        self.streams: list[SentenceStream] = []

    def tokenize(self, text: str, *, language: str | None = None) -> list[str]:
        return [text]

    def stream(self, *, language: str | None = None) -> SentenceStream:
        self.streams.append(_EachPushStream())
        return self.streams[-1]


class _EachPushStream(SentenceStream):
    def push_text(self, text: str) -> None:
        self._event_ch.send_nowait(TokenData(token=text))

    def flush(self) -> None: ...

    def end_input(self) -> None:
        self._event_ch.close()

    async def aclose(self) -> None:
        self._event_ch.close()

    async def __anext__(self) -> TokenData:
        sentence = await super().__anext__()
        if sentence.token == "broken":
            raise LookupError(sentence.token)
        return sentence


def adapt(
    voice: tts.TTS[Any],
    prefetch: int = 1,
    *,
    tokenizer: tokenize.SentenceTokenizer | None = None,
) -> SpekoTTSAdapter:
    return SpekoTTSAdapter(tts=voice, sentence_tokenizer=tokenizer or BASIC, prefetch=prefetch)


def adapt_any(
    voice: tts.TTS[Any],
    prefetch: int | None,
    *,
    tokenizer: tokenize.SentenceTokenizer | None = None,
) -> tts.StreamAdapter:
    """Make LiveKit's own adapter without a `prefetch`: the reference for this one."""
    if prefetch is None:
        return tts.StreamAdapter(tts=voice, sentence_tokenizer=tokenizer or BASIC)
    return adapt(voice, prefetch, tokenizer=tokenizer)


async def say(
    adapter: tts.StreamAdapter,
    *pieces: str,
    heard: list[tts.SynthesizedAudio] | None = None,
    conn_options: APIConnectOptions = NO_RETRY,
) -> list[tts.SynthesizedAudio]:
    """Return all audio of a text in pieces. The audio before an error is in `heard`."""
    heard = [] if heard is None else heard

    async def call() -> None:
        async with adapter.stream(conn_options=conn_options) as stream:
            for piece in pieces or (REPLY,):
                stream.push_text(piece)
            stream.end_input()
            async for audio in stream:
                heard.append(audio)

    await asyncio.wait_for(call(), 10)
    return heard


def respond(gateway: LocalGateway, answers: Mapping[str, Answer]) -> None:
    """Use these answers for these texts, and speak every other text with its own audio."""

    async def engine(request: GatewayRequest, /) -> Answer:
        return answers.get(request.json["text"]) or await session_line.say(request)

    gateway.synthesize.use(engine)


def words(events: list[tts.SynthesizedAudio]) -> bytes:
    """The audio of the provider, without the silence that LiveKit adds."""
    return without_silence(b"".join(bytes(event.frame.data) for event in events))


def transcript(events: list[tts.SynthesizedAudio]) -> list[str]:
    """The transcripts that came with the audio."""
    return [t for e in events for t in e.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, ())]


def voiced(*texts: str) -> bytes:
    """The audio of these texts, one after the other."""
    return b"".join(spoken(text) for text in texts)


async def request_for(gateway: LocalGateway, text: str) -> GatewayRequest:
    """The request for a text, as soon as it came."""
    count = 1
    while True:
        await gateway.arrived("synthesize", count=count)
        for request in gateway.requests_to("synthesize"):
            if request.json["text"] == text:
                return request
        count = len(gateway.requests_to("synthesize")) + 1
