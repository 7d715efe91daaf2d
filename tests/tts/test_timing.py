"""Text-to-speech: timeouts, callers who barge in, and metrics."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
from livekit.agents import APITimeoutError, metrics
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Speko, SpekoTTS, SpekoTTSChunkedStream
from livekit_plugins_speko.testing import Gate, Latency, LocalGateway
from tests.helpers.support import QUICK_RETRY, compressed, errors_of, shown, tone, wav
from tests.helpers.tts_calls import PCM, first_bytes, held_engine, joined, make_tts, speak, speech

IMPATIENT = APIConnectOptions(max_retry=0, timeout=0.5)


# Timeouts


async def assert_timed_out(gateway: LocalGateway, voice: SpekoTTS) -> None:
    errors, clock = errors_of(voice), asyncio.get_running_loop()
    began = clock.time()
    with pytest.raises(APITimeoutError) as raised:
        await speak(voice, conn_options=IMPATIENT)
    assert 0.14 < clock.time() - began < 3
    assert raised.value.message == "Speko did not respond in time."
    assert isinstance(raised.value.__cause__, TimeoutError)
    assert raised.value.retryable
    assert [event.recoverable for event in errors] == [False]
    await gateway.requests[0].finished()
    assert gateway.requests[0].cancelled


async def test_missing_headers_are_a_timeout(gateway: LocalGateway, client: Any) -> None:
    gateway.synthesize.use(held_engine(Gate()))
    await assert_timed_out(gateway, make_tts(client))


@pytest.mark.parametrize(
    ("content_type", "audio"),
    [
        ("audio/pcm;rate=24000", b""),
        ("audio/pcm;rate=24000", PCM),
        ("audio/wav", wav(PCM)[:100]),
        ("audio/mpeg", b""),
        ("audio/mpeg", compressed(PCM)),
    ],
    ids=shown,
)
async def test_stalled_audio_is_a_timeout(
    gateway: LocalGateway, speko: Speko, content_type: str, audio: bytes
) -> None:
    gateway.synthesize.script(speech([audio, Gate()], content_type))
    await assert_timed_out(gateway, make_tts(speko, convert_audio=True))


async def test_timeout_is_retried(gateway: LocalGateway, speko: Speko) -> None:
    gateway.synthesize.script(speech([Gate()]), speech())
    voice = make_tts(speko)
    errors = errors_of(voice)
    patience = APIConnectOptions(max_retry=1, timeout=0.3)
    assert joined(await speak(voice, conn_options=patience)) == PCM
    assert [(type(event.error), event.recoverable) for event in errors] == [(APITimeoutError, True)]


@pytest.mark.parametrize(
    ("content_type", "audio"),
    [("audio/pcm;rate=24000", PCM), ("audio/mpeg", compressed(tone(2.0)))],
    ids=shown,
)
async def test_steady_stream_longer_than_the_timeout_is_not_cut(
    gateway: LocalGateway, speko: Speko, content_type: str, audio: bytes
) -> None:
    patience = APIConnectOptions(max_retry=0, timeout=0.3)
    gateway.synthesize.latency = Latency(between_s=0.05)
    gateway.synthesize.script(speech(audio, content_type, chunk_bytes=len(audio) // 9))
    began = asyncio.get_running_loop().time()
    events = await speak(make_tts(speko, convert_audio=True), conn_options=patience)
    assert asyncio.get_running_loop().time() - began > patience.timeout
    assert events[-1].is_final


# A caller who barges in


async def assert_let_go(
    gateway: LocalGateway, voice: SpekoTTS, stream: SpekoTTSChunkedStream
) -> None:
    errors = errors_of(voice)
    await stream.aclose()
    await gateway.requests[0].finished()
    assert gateway.requests[0].cancelled
    await gateway.idle(connections=0)
    assert errors == []


async def test_closing_before_the_headers_frees_the_connection(
    gateway: LocalGateway, client: Any
) -> None:
    gate, voice = Gate(), make_tts(client)
    gateway.synthesize.use(held_engine(gate))
    stream = voice.synthesize("Hello.")
    await gate.reached()
    await assert_let_go(gateway, voice, stream)


@pytest.mark.parametrize(
    ("content_type", "audio"),
    [
        ("audio/pcm;rate=24000", b""),
        ("audio/pcm;rate=24000", PCM),
        ("audio/wav", wav(PCM)[:-2]),
        ("audio/mpeg", compressed(PCM)),
    ],
    ids=shown,
)
async def test_closing_during_the_audio_frees_the_connection(
    gateway: LocalGateway, speko: Speko, content_type: str, audio: bytes
) -> None:
    gate, voice = Gate(), make_tts(speko, convert_audio=True)
    gateway.synthesize.script(speech([audio, gate], content_type))
    stream = voice.synthesize("Hello.")
    await gate.reached()
    if audio:
        await first_bytes(stream, 1)
    await assert_let_go(gateway, voice, stream)


async def test_cancelled_task_raises_only_the_cancellation(
    gateway: LocalGateway, client: Any
) -> None:
    gate, voice = Gate(), make_tts(client)
    errors = errors_of(voice)
    gateway.synthesize.script(speech([PCM, gate]))
    call = asyncio.create_task(speak(voice, conn_options=QUICK_RETRY))
    await gate.reached()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await gateway.idle(connections=0)
    assert (errors, len(gateway.requests)) == ([], 1)


async def test_closing_the_tts_closes_its_streams(gateway: LocalGateway, speko: Speko) -> None:
    gate, voice = Gate(), make_tts(speko)
    gateway.synthesize.script(speech([PCM, gate]), speech([PCM, gate]))
    streams = [voice.synthesize(text) for text in ("One.", "Two.")]
    await gateway.arrived("synthesize", count=2)
    await voice.aclose()
    assert all(stream.done for stream in streams)
    await gateway.idle(connections=0)


async def test_closing_the_tts_leaves_the_client_open(gateway: LocalGateway, speko: Speko) -> None:
    await make_tts(speko).aclose()
    gateway.synthesize.script(speech())
    assert joined(await speak(make_tts(speko))) == PCM


async def test_unreferenced_stream_is_not_kept(gateway: LocalGateway, speko: Speko) -> None:
    voice = make_tts(speko)
    gateway.synthesize.script(speech())
    async with voice.synthesize("Hello.") as stream:
        await stream.collect()
    forgotten = weakref.ref(stream)
    del stream
    gc.collect()
    assert forgotten() is None


# Metrics


async def test_metrics_describe_the_utterance(gateway: LocalGateway, client: Any) -> None:
    collected: list[metrics.TTSMetrics] = []
    voice = make_tts(client)
    voice.on("metrics_collected", collected.append)
    gateway.synthesize.script(speech())
    events = await speak(voice, "Hello there.")
    (told,) = collected
    assert (told.label, told.streamed, told.cancelled) == ("speko.TTS", False, False)
    assert told.characters_count == len("Hello there.")
    assert told.audio_duration == pytest.approx(0.5)
    assert 0 < told.ttfb <= told.duration
    assert told.request_id == events[0].request_id
    assert told.metadata is not None
    assert (told.metadata.model_provider, told.metadata.model_name) == ("speko", "speko-router")


async def test_bytes_without_audio_are_not_output(gateway: LocalGateway, speko: Speko) -> None:
    """A WAV whose tags never end is silence on the line."""

    async def tags() -> AsyncIterator[bytes]:
        yield wav(b"")[:12] + b"LIST" + (60_000).to_bytes(4, "little")
        while True:
            yield b"tags"
            await asyncio.sleep(0.02)

    gateway.synthesize.script(speech(tags(), "audio/wav"))
    await assert_timed_out(gateway, make_tts(speko))
