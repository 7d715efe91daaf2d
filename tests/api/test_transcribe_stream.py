"""Streaming recognition without LiveKit: `Speko.transcribe_stream`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from livekit_plugins_speko import Speko, SpekoApiError, SpekoAuthError
from livekit_plugins_speko.api.reconnects import Bounds
from livekit_plugins_speko.api.stt_messages import Transcript
from livekit_plugins_speko.api.transcribe_stream import TranscribeStream
from tests.helpers.stt_server import (
    KEY,
    RATE_HZ,
    Behaviour,
    Handler,
    Heard,
    Recogniser,
    Refusal,
    SttServer,
    closes,
    frames_of,
    keep_silent,
    pause,
    says,
    word,
)

QUICK = Bounds(backoff=0.01, most_backoff=0.05, idle=0.2, quiet=0.05, error_grace=0.1)


@asynccontextmanager
async def streaming(
    server: SttServer, *, bounds: Bounds = QUICK, timeout_s: float = 10.0, **options: Any
) -> AsyncIterator[TranscribeStream]:
    """A stream to the server, with bounds that suit a test."""
    async with Speko(base_url=server.base_url, api_key=KEY) as speko:
        stream = speko.transcribe_stream(**{"language": "en-US", **options})
        stream._bounds = bounds
        async with stream:
            yield stream


async def finals(stream: TranscribeStream) -> list[str]:
    """The words of every final until the end."""
    events = [event async for event in stream]
    texts = [event.text for event in events if isinstance(event, Transcript) and event.is_final]
    return [each for text in texts for each in text.split()]


async def speak(stream: TranscribeStream, numbers: range, *, flushing: bool = True) -> None:
    """Say words with pauses, each flushed, and end."""
    for number in numbers:
        for frame in frames_of(word(number) + pause()):
            await stream.send_audio(frame)
            await asyncio.sleep(0)
        if flushing:
            await stream.flush()
    await stream.end()


async def test_words_become_interims_and_finals() -> None:
    async with SttServer() as server, streaming(server) as stream:
        await speak(stream, range(1, 4))
        events = [event async for event in stream]
    assert events[0].type == "ready"
    texts = [event.text for event in events if event.type == "transcript" and event.is_final]
    assert texts == ["1", "2", "3"]
    assert any(event.type == "transcript" and not event.is_final for event in events)


async def test_config_header_and_raw_audio_are_sent() -> None:
    options: dict[str, Any] = {
        "region": "global",
        "optimize_for": "latency",
        "constraints": {"allowedProviders": {"stt": ["deepgram"]}},
        "session_id": " call-7 ",
        "keywords": ["Speko"],
        "stt_language": "multi",
        "prompt": "A bakery.",
    }
    async with SttServer() as server, streaming(server, **options) as stream:
        await speak(stream, range(1, 2))
        await finals(stream)
    (heard,) = server.connections
    assert heard.config == {
        "type": "config",
        "language": "en-US",
        "region": "global",
        "optimizeFor": "latency",
        "constraints": {"allowedProviders": {"stt": ["deepgram"]}},
        "keywords": ["Speko"],
        "prompt": "A bakery.",
        "sttOptions": {"language": "multi"},
        "interimResults": True,
        "contentType": "audio/wav",
        "sampleRate": RATE_HZ,
        "encoding": "pcm_s16le",
    }
    assert heard.headers["Authorization"] == f"Bearer {KEY}"
    assert heard.headers["x-session-id"] == "call-7"
    assert heard.headers["User-Agent"].startswith("livekit-plugins-speko/")
    assert len(heard.header) == 44
    assert bytes(heard.audio) == word(1) + pause()
    assert heard.flushes == [len(heard.audio)]
    assert heard.ended
    assert heard.close_code == 1000


SPOKEN = range(1, 6)
LENGTH = len(word(1) + pause()) * len(SPOKEN)
PLACES = range(0, LENGTH, len(frames_of(pause())[0]))


@pytest.mark.parametrize("code", [None, 1000, 1001, 1011])
@pytest.mark.parametrize("with_times", [True, False], ids=["times", "no-times"])
async def test_dropped_at_every_frame_each_word_comes_once(
    with_times: bool, code: int | None
) -> None:
    behaviour = Behaviour(with_times=with_times)
    places = PLACES[::3] if code is not None else PLACES
    for place in places:
        drops = Recogniser(replace(behaviour, drop_at=place, drop_code=code))
        async with SttServer([drops], Recogniser(behaviour)) as server, streaming(server) as stream:
            await speak(stream, SPOKEN)
            assert await finals(stream) == [str(number) for number in SPOKEN], place


@pytest.mark.parametrize("with_times", [True, False], ids=["times", "no-times"])
@pytest.mark.parametrize("flushing", [True, False], ids=["flush", "endpoint"])
async def test_dropped_after_every_word_each_word_comes_once(
    with_times: bool, flushing: bool
) -> None:
    behaviour = Behaviour(with_times=with_times, endpoint_s=None if flushing else 0.06)
    drops = Recogniser(replace(behaviour, drop_after_finals=1))
    async with SttServer(default=drops) as server, streaming(server) as stream:
        spoken = range(1, 13)
        for number in spoken:
            await stream.send_audio(word(number) + pause())
            if flushing:
                await stream.flush()
            async for event in stream:
                if event.type == "transcript" and event.is_final:
                    assert event.text == str(number)
                    break
        await stream.end()
        assert await finals(stream) == []
    assert len(server.connections) >= len(spoken)


@pytest.mark.parametrize("with_times", [True, False], ids=["times", "no-times"])
async def test_finals_by_flush_and_by_pause_can_mix_without_loss(with_times: bool) -> None:
    behaviour = Behaviour(with_times=with_times, endpoint_s=0.06)
    for place in PLACES[::2]:
        drops = Recogniser(replace(behaviour, drop_at=place))
        async with SttServer([drops], Recogniser(behaviour)) as server, streaming(server) as stream:
            await speak(stream, SPOKEN)
            assert await finals(stream) == [str(number) for number in SPOKEN], place


async def test_flush_without_its_final_is_sent_again_after_its_audio() -> None:
    async def reset_at_flush(heard: Heard) -> None:
        while (await heard.ws.receive()).data != '{"type":"flush"}':
            pass
        heard.reset()

    async with SttServer([reset_at_flush]) as server, streaming(server) as stream:
        await stream.send_audio(word(1))
        await stream.flush()
        heard = await server.connected(2)
        await stream.send_audio(pause())
        await stream.end()
        assert await finals(stream) == ["1"]
    assert heard.flushes == [len(word(1))]


async def test_word_times_are_the_streams_on_every_connection() -> None:
    drops = Recogniser(Behaviour(drop_at=len(word(1) + pause()) + 640))
    async with SttServer([drops]) as server, streaming(server) as stream:
        await speak(stream, range(1, 4))
        events = [event async for event in stream]
    words = [w for e in events if isinstance(e, Transcript) and e.is_final for w in e.words or ()]
    starts = [each.start for each in words]
    assert starts == pytest.approx([0.0, 0.3, 0.6])
    assert [each.end for each in words] == pytest.approx([0.2, 0.5, 0.8])


async def test_audio_after_an_idle_close_connects_again() -> None:
    async def close_when_idle(heard: Heard) -> None:
        while True:
            try:
                await asyncio.wait_for(heard.ws.receive(), 0.3)
            except (TimeoutError, asyncio.TimeoutError):
                break
        await heard.ws.close(code=1011)

    async with SttServer([close_when_idle] * 3) as server, streaming(server) as stream:
        for count in range(1, 4):
            heard = await server.connected(count)
            await heard.gone.wait()
            assert len(server.connections) == count
            await stream.send_audio(pause(0.02))
        await server.connected(4)
        await stream.send_audio(word(1))
        await stream.end()
        assert await finals(stream) == ["1"]


@pytest.mark.parametrize("code", [4401, 4400, 1008])
async def test_permanent_close_codes_end_the_stream(code: int) -> None:
    async with SttServer(default=closes(code, f"because of {KEY}")) as server:
        with pytest.raises(SpekoApiError) as raised:
            async with streaming(server) as stream:
                await finals(stream)
    assert isinstance(raised.value, SpekoAuthError) == (code == 4401)
    assert f"({code})" in str(raised.value)
    assert "because of [redacted]" in str(raised.value)
    assert server.attempts == 1


async def test_refused_key_is_tried_once() -> None:
    async with SttServer(default=Refusal(401)) as server:
        with pytest.raises(SpekoAuthError) as raised:
            async with streaming(server) as stream:
                await finals(stream)
    assert server.attempts == 1
    assert KEY not in repr(raised.value) + str(raised.value.__context__)


async def test_redirect_is_refused() -> None:
    async with SttServer() as target:
        location = {"Location": target.base_url}
        async with SttServer(default=Refusal(302, location)) as server:
            with pytest.raises(SpekoApiError):
                async with streaming(server) as stream:
                    await finals(stream)
        assert target.attempts == 0


async def test_temporary_refusal_loses_no_word() -> None:
    async with SttServer([Refusal(503), Refusal(429)]) as server, streaming(server) as stream:
        await speak(stream, SPOKEN)
        assert await finals(stream) == [str(number) for number in SPOKEN]
    assert server.attempts == 3


async def test_connections_that_open_and_drop_end_the_stream() -> None:
    async with SttServer(default=closes(1011)) as server:
        with pytest.raises(SpekoApiError) as raised:
            async with streaming(server, bounds=replace(QUICK, most_backoff=0.01)) as stream:
                await finals(stream)
    assert raised.value.code == "CONNECTION_LOST"
    assert "open" in str(raised.value)
    assert server.attempts == 50


@pytest.mark.parametrize(
    "garbage",
    ["not json", "[1]", '{"type":"transcript"}', b"\x00\xff", '{"type":"end"}'],
    ids=["text", "list", "no-text", "binary", "end"],
)
async def test_garbage_or_an_early_end_is_a_drop(garbage: str | bytes) -> None:
    async with SttServer([says(garbage)]) as server, streaming(server) as stream:
        await speak(stream, SPOKEN)
        assert await finals(stream) == [str(number) for number in SPOKEN]
    assert len(server.connections) == 2


async def test_unknown_and_large_frames_are_harmless() -> None:
    large = '{"type":"metrics","text":"' + "x" * 1_000_000 + '"}'
    async with SttServer([says(large)]) as server, streaming(server) as stream:
        await speak(stream, SPOKEN)
        assert await finals(stream) == [str(number) for number in SPOKEN]
    assert len(server.connections) == 1


async def test_reported_problem_is_an_event_and_recognition_continues() -> None:
    problem = '{"type":"error","code":"PROVIDER_SLOW","message":"slow"}'
    async with SttServer([says(problem)]) as server, streaming(server) as stream:
        await speak(stream, SPOKEN)
        events = [event async for event in stream]
    (error,) = [event for event in events if event.type == "error"]
    assert (error.code, error.message) == ("PROVIDER_SLOW", "slow")
    assert len(server.connections) == 1


async def test_silence_after_a_reported_problem_is_a_drop() -> None:
    async def fail(heard: Heard) -> None:
        await heard.send(type="error", code="ALL_PROVIDERS_FAILED", message="none left")
        await keep_silent(heard)

    async with SttServer([fail]) as server, streaming(server) as stream:
        await stream.send_audio(word(1))
        await server.connected(2)
        await stream.end()
        assert await finals(stream) == ["1"]


async def test_end_does_not_wait_for_a_missing_final() -> None:
    silent = Recogniser(Behaviour(ends=False))
    bounds = replace(QUICK, end_wait=0.2)
    async with SttServer(default=silent) as server, streaming(server, bounds=bounds) as stream:
        await stream.send_audio(pause())
        await server.connected()
        began = time.monotonic()
        await stream.end()
        assert await finals(stream) == []
    assert 0.1 < time.monotonic() - began < 0.5


async def test_drop_at_the_end_is_recovered_or_an_error() -> None:
    async def drop_at_end(heard: Heard) -> None:
        while (await heard.ws.receive()).data != '{"type":"end"}':
            pass
        heard.reset()

    async with SttServer([drop_at_end]) as server, streaming(server) as stream:
        await speak(stream, SPOKEN, flushing=False)
        assert await finals(stream) == [str(number) for number in SPOKEN]
    bounds = replace(QUICK, end_wait=0.2)
    async with SttServer(default=drop_at_end) as server:
        with pytest.raises(SpekoApiError):
            async with streaming(server, bounds=bounds) as stream:
                await speak(stream, SPOKEN, flushing=False)
                await finals(stream)


async def test_audio_may_come_in_pieces_of_any_length() -> None:
    pcm = word(300) + pause() + word(301)
    async with SttServer() as server, streaming(server) as stream:
        for at in range(0, len(pcm), 333):
            await stream.send_audio(pcm[at : at + 333])
        await stream.end()
        assert await finals(stream) == ["300", "301"]


async def test_misuse_says_what_to_do() -> None:
    async with SttServer() as server, Speko(base_url=server.base_url, api_key=KEY) as speko:
        stream = speko.transcribe_stream(language="en")
        with pytest.raises(RuntimeError, match="async with"):
            await stream.send_audio(b"")
        async with stream:
            await stream.end()
            with pytest.raises(RuntimeError, match="end"):
                await stream.send_audio(b"")
        with pytest.raises(ValueError, match="sample_rate"):
            speko.transcribe_stream(language="en", sample_rate=1)


@pytest.mark.parametrize("handler", [Recogniser(), keep_silent], ids=["recognising", "silent"])
async def test_leaving_closes_within_50_ms(handler: Handler) -> None:
    async with SttServer(default=handler) as server:
        async with streaming(server) as stream:
            await stream.send_audio(word(1))
            heard = await server.connected()
            began = time.monotonic()
            await stream.aclose()
            assert time.monotonic() - began < 0.05
            await asyncio.wait_for(heard.gone.wait(), 0.5)
    assert server.open == 0


async def test_closed_client_ends_its_streams() -> None:
    async with SttServer() as server, Speko(base_url=server.base_url, api_key=KEY) as speko:
        async with speko.transcribe_stream(language="en") as stream:
            await server.connected()
            await speko.aclose()
            with pytest.raises(SpekoApiError, match="closed"):
                await finals(stream)


async def test_stalled_connection_is_replaced() -> None:
    async def hang(heard: Heard) -> None:
        assert heard.request.transport is not None
        heard.request.transport.pause_reading()
        await heard.over.wait()

    async with SttServer([hang]) as server, streaming(server) as stream:
        began = time.monotonic()
        await stream.send_audio(word(1))
        await server.connected(2)
        assert time.monotonic() - began < 9
        await stream.end()
        assert await finals(stream) == ["1"]


async def test_sender_waits_while_half_a_minute_of_audio_waits() -> None:
    async with SttServer() as server, streaming(server) as stream:
        await stream.send_audio(word(1) + pause(31.0))
        recognition = stream._recognition
        assert recognition is not None and recognition.audio.unsent_s <= 30.0
        await stream.end()
        assert await finals(stream) == ["1"]


async def test_stream_that_was_never_opened_closes() -> None:
    async with SttServer() as server, Speko(base_url=server.base_url, api_key=KEY) as speko:
        await speko.transcribe_stream(language="en").aclose()
        assert server.attempts == 0


async def test_stream_that_is_closed_as_it_opens_takes_no_audio() -> None:
    """Its task was cancelled before it began."""
    async with SttServer() as server:
        async with streaming(server) as stream:
            sending = asyncio.create_task(stream.send_audio(bytes(2 * RATE_HZ * 40)))
        await asyncio.wait([sending], timeout=2)
        sending.cancel()
        await asyncio.wait([sending])
        assert not sending.cancelled(), "it waited for room"
        assert server.attempts == 0
