"""Speech, a TTS that requests it, and the audio it returns."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import APIError, tts
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Intent, SpekoAdapterError, SpekoTTS
from livekit_plugins_speko.testing import Answer, Gate, GatewayRequest, LocalGateway, Speech
from tests.helpers.support import ACME, NO_RETRY, QUICK_RETRY, errors_of, tone

PCM = tone(0.5)


def make_tts(speko: Any, **options: Any) -> SpekoTTS:
    return SpekoTTS(**{"speko": speko, "intent": Intent("en-US"), **options})


def speech(audio: Any = PCM, content_type: str = "audio/pcm;rate=24000", **options: Any) -> Speech:
    return Speech(audio, content_type=content_type, route=ACME, **options)


async def speak(
    voice: SpekoTTS, text: str = "Hello there.", *, conn_options: APIConnectOptions = NO_RETRY
) -> list[tts.SynthesizedAudio]:
    """All audio of a call. One that never ends fails and does not hang the run."""

    async def call() -> list[tts.SynthesizedAudio]:
        async with voice.synthesize(text, conn_options=conn_options) as stream:
            return [event async for event in stream]

    return await asyncio.wait_for(call(), 10)


def joined(events: list[tts.SynthesizedAudio]) -> bytes:
    """The audio of the provider, without the silence by which LiveKit may mark its end.

    It does so with 10 ms where it had to send off the last frame before the end was known.
    """
    *before, last = [bytes(event.frame.data) for event in events] or [b""]
    marker = bytes(len(last)) if events and events[-1].frame.duration == 0.01 else None
    return b"".join(before) + (b"" if last == marker else last)


async def first_bytes(stream: tts.ChunkedStream, size: int) -> bytes:
    """Number of bytes that must arrive while the gateway is held."""
    heard = b""
    while len(heard) < size:
        heard += bytes((await asyncio.wait_for(anext(stream), 5)).frame.data)
    return heard


def adapter_error(error: BaseException) -> tuple[str, str]:
    """The text of an error, and the code of the Speko error that caused it."""
    assert type(error) is APIError
    assert isinstance(error.__cause__, SpekoAdapterError)
    return str(error), error.__cause__.code


async def assert_given_up(
    gateway: LocalGateway, voice: SpekoTTS, answered: Answer | None = None
) -> APIError:
    """The call fails at the first attempt; return its error."""
    if answered is not None:
        gateway.synthesize.script(answered)
    errors, before = errors_of(voice), len(gateway.requests)
    with pytest.raises(APIError) as raised:
        await speak(voice, conn_options=QUICK_RETRY)
    assert len(gateway.requests) == before + 1
    assert [(event.error, event.recoverable) for event in errors] == [(raised.value, False)]
    assert not raised.value.retryable
    return raised.value


async def assert_retried(gateway: LocalGateway, voice: SpekoTTS, answered: Answer) -> APIError:
    """The first attempt fails, the second brings all audio once; return the first one's error."""
    gateway.synthesize.script(answered, speech())
    errors = errors_of(voice)
    events = await speak(voice, conn_options=QUICK_RETRY)
    assert joined(events) == PCM
    assert len(gateway.requests) == 2
    (event,) = errors
    assert event.recoverable
    assert isinstance(event.error, APIError)
    assert event.error.retryable
    return event.error


def held_engine(gate: Gate) -> Any:
    """An engine that holds the headers back."""

    async def engine(request: GatewayRequest, /) -> Answer:
        await gate.hold()
        return speech()

    return engine
