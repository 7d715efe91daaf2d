"""`SpekoSTT(streaming=True)`: LiveKit's frames in, its speech events out."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import spekoai
from livekit.agents import (
    APIConnectionError,
    APIConnectOptions,
    APIStatusError,
    stt,
)
from livekit.agents.metrics import STTMetrics
from livekit.agents.stt import SpeechEventType as Kind

from livekit_plugins_speko import RouteEvent, Speko, SpekoSTT
from livekit_plugins_speko.api.reconnects import Bounds
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
from tests.helpers.support import errors_of, frame

FINAL = Kind.FINAL_TRANSCRIPT
QUICK = Bounds(backoff=0.01, most_backoff=0.05, idle=0.2, quiet=0.05, error_grace=0.1)
DEEPGRAM = {"allowedProviders": {"stt": ["Deepgram:nova-3"]}}


@asynccontextmanager
async def recognizing(server: SttServer, **options: Any) -> AsyncIterator[SpekoSTT]:
    """A recogniser of the server, with bounds that suit a test."""
    async with Speko(base_url=server.base_url, api_key=KEY) as speko:
        recognizer = SpekoSTT(speko=speko, intent={"language": "en-US"}, streaming=True, **options)
        recognizer._bounds = QUICK
        yield recognizer


def push(stream: stt.RecognizeStream, pcm: bytes) -> None:
    """Push audio as a room does."""
    for piece in frames_of(pcm):
        stream.push_frame(frame(piece))


async def until(stream: stt.RecognizeStream, kind: Kind) -> stt.SpeechEvent:
    """Read events up to one of `kind`."""
    async for event in stream:
        if event.type == kind:
            return event
    raise AssertionError(f"the stream ended without {kind}")


def texts(events: list[stt.SpeechEvent], kind: Kind = Kind.FINAL_TRANSCRIPT) -> list[str]:
    return [event.alternatives[0].text for event in events if event.type == kind]


def metrics_of(recognizer: SpekoSTT) -> list[STTMetrics]:
    collected: list[STTMetrics] = []
    recognizer.on("metrics_collected", collected.append)
    return collected


async def test_capabilities_say_what_streaming_can_do() -> None:
    async with SttServer() as server, recognizing(server, interim_results=False) as recognizer:
        assert recognizer.capabilities == stt.STTCapabilities(
            streaming=True,
            interim_results=False,
            manual_flush=True,
            offline_recognize=True,
            keyterms=True,
            aligned_transcript=False,
        )


@pytest.mark.parametrize(
    ("allowed", "aligned"),
    [
        (["deepgram"], "word"),
        (["Deepgram:nova-3", "deepgram:nova-2"], "word"),
        (["ElevenLabs"], "word"),
        (["deepgram", "cartesia"], False),
        (["navai"], False),
        ([], False),
    ],
)
async def test_one_provider_with_word_times_aligns(allowed: list[str], aligned: object) -> None:
    constraints = {"allowedProviders": {"stt": allowed}} if allowed else None
    async with SttServer() as server, recognizing(server, constraints=constraints) as recognizer:
        assert recognizer.capabilities.aligned_transcript == aligned


async def test_the_official_client_cannot_stream() -> None:
    async with spekoai.AsyncSpeko(api_key=KEY, base_url="http://127.0.0.1:1") as client:
        with pytest.raises(TypeError, match="AsyncSpeko.*no\\s+streaming recognition"):
            SpekoSTT(speko=client, intent={"language": "en"}, streaming=True)


async def test_a_segment_has_a_start_interims_a_final_and_an_end() -> None:
    async with SttServer() as server, recognizing(server) as recognizer:
        async with recognizer.stream() as stream:
            push(stream, word(7) + pause())
            stream.flush()
            push(stream, word(8))
            stream.end_input()
            events = [event async for event in stream]
    kinds = [event.type for event in events if event.type != Kind.RECOGNITION_USAGE]
    changes = [kind for kind, before in zip(kinds, [None, *kinds], strict=False) if kind != before]
    segment = [
        Kind.START_OF_SPEECH,
        Kind.INTERIM_TRANSCRIPT,
        Kind.FINAL_TRANSCRIPT,
        Kind.END_OF_SPEECH,
    ]
    assert changes == segment * 2
    assert texts(events) == ["7", "8"]
    final = next(event for event in events if event.type == Kind.FINAL_TRANSCRIPT)
    assert final.request_id
    assert (final.alternatives[0].language, final.alternatives[0].confidence) == ("en-US", 0.9)


async def test_an_empty_final_ends_a_segment_and_is_dropped() -> None:
    hello = '{"type":"transcript","text":"hello","isFinal":false}'
    empty = '{"type":"transcript","text":"","isFinal":true}'
    async with SttServer([says(empty, hello, empty)]) as server, recognizing(server) as recognizer:
        async with recognizer.stream() as stream:
            push(stream, pause())
            events = [await until(stream, Kind.START_OF_SPEECH)]
            events.append(await until(stream, Kind.END_OF_SPEECH))
            stream.end_input()
            events += [event async for event in stream]
    assert texts(events) == []


async def test_without_interim_results_there_are_none() -> None:
    async with SttServer() as server, recognizing(server, interim_results=False) as recognizer:
        async with recognizer.stream() as stream:
            push(stream, word(7))
            stream.end_input()
            events = [event async for event in stream]
    assert server.connections[0].config["interimResults"] is False
    assert texts(events, Kind.INTERIM_TRANSCRIPT) == []
    assert texts(events) == ["7"]


async def test_frames_of_another_rate_are_resampled() -> None:
    async with SttServer() as server, recognizing(server) as recognizer:
        async with recognizer.stream() as stream:
            for _ in range(50):
                stream.push_frame(frame(bytes(960), rate=48_000))
            stream.end_input()
            async for _ in stream:
                pass
    assert len(server.connections[0].audio) == pytest.approx(RATE_HZ, abs=400)


async def test_word_times_are_the_streams_with_its_offset_once() -> None:
    drops = Recogniser(Behaviour(drop_at=len(word(1) + pause()) + 640))
    async with (
        SttServer([drops]) as server,
        recognizing(server, constraints=DEEPGRAM) as recognizer,
        recognizer.stream() as stream,
    ):
        stream.start_time_offset = 100.0
        for number in range(1, 4):
            push(stream, word(number) + pause())
            stream.flush()
        stream.end_input()
        events = [event async for event in stream]
    finals = [event.alternatives[0] for event in events if event.type == Kind.FINAL_TRANSCRIPT]
    assert [final.start_time for final in finals] == pytest.approx([100.0, 100.3, 100.6])
    assert [final.end_time for final in finals] == pytest.approx([100.2, 100.5, 100.8])
    assert [w.start_time for final in finals for w in final.words or ()] == pytest.approx(
        [100.0, 100.3, 100.6]
    )


async def test_text_without_words_has_the_time_at_which_it_came() -> None:
    silent = Recogniser(Behaviour(with_times=False))
    async with (
        SttServer(default=silent) as server,
        recognizing(server, constraints=DEEPGRAM) as recognizer,
        recognizer.stream() as stream,
    ):
        stream.start_time_offset = 100.0
        push(stream, word(1))
        stream.end_input()
        final = await until(stream, Kind.FINAL_TRANSCRIPT)
        assert 100.0 < final.alternatives[0].end_time < 105.0


async def test_usage_is_the_audio_sent_with_what_is_sent_again() -> None:
    drops = Recogniser(Behaviour(drop_at=len(word(1)) // 2))
    async with SttServer([drops]) as server, recognizing(server) as recognizer:
        metrics = metrics_of(recognizer)
        async with recognizer.stream() as stream:
            push(stream, word(1))
            await server.connected(2)
            stream.end_input()
            async for _ in stream:
                pass
        sent_s = sum(each.audio_duration for each in metrics)
        assert 0.2 < sent_s <= 0.4
        assert sum(1 for each in metrics if each.acquire_time) == 2


async def test_usage_is_reported_when_the_stream_is_closed() -> None:
    async with SttServer(default=keep_silent) as server, recognizing(server) as recognizer:
        metrics = metrics_of(recognizer)
        async with recognizer.stream() as stream:
            push(stream, word(1))
            heard = await server.connected()
            await heard.heard(len(word(1)))
        assert sum(each.audio_duration for each in metrics) == pytest.approx(0.2)


async def test_each_connection_is_a_route_event() -> None:
    drops = Recogniser(Behaviour(drop_at=640))
    async with SttServer([Refusal(503), drops]) as server, recognizing(server) as recognizer:
        routes: list[RouteEvent] = []
        recognizer.on("route", routes.append)
        async with recognizer.stream() as stream:
            push(stream, word(1))
            stream.end_input()
            final = await until(stream, Kind.FINAL_TRANSCRIPT)
            async for _ in stream:
                pass
    assert [route.outcome for route in routes] == ["failed", "failed", "completed"]
    assert {route.call for route in routes} == {"transcribe_stream"}
    assert (routes[2].provider, routes[2].model) == ("acme", "acme-2")
    assert routes[2].request_id == final.request_id
    assert routes[2].first_output_s is not None


@pytest.mark.parametrize(
    ("handler", "text"),
    [(Refusal(401), "401"), (closes(4401, "who are you"), "4401\\): who are you")]
    + [(closes(4400, "bad"), "4400\\): bad"), (closes(1008, "no"), "1008\\): no")],
    ids=["401", "4401", "4400", "1008"],
)
async def test_permanent_refusals_are_one_error_that_is_not_retried(
    handler: Handler | Refusal, text: str
) -> None:
    async with SttServer(default=handler) as server, recognizing(server) as recognizer:
        errors = errors_of(recognizer)
        async with recognizer.stream() as stream:
            with pytest.raises(APIStatusError, match=text) as raised:
                await until(stream, Kind.FINAL_TRANSCRIPT)
    assert not raised.value.retryable
    assert [error.recoverable for error in errors] == [False]
    assert server.attempts == 1


async def test_with_the_service_down_the_stream_ends_within_the_timeout() -> None:
    async with SttServer() as server:
        pass
    async with recognizing(server) as recognizer:
        errors = errors_of(recognizer)
        began = time.monotonic()
        async with recognizer.stream(conn_options=APIConnectOptions(timeout=0.5)) as stream:
            push(stream, word(1))
            with pytest.raises(APIConnectionError, match="gave up") as raised:
                await until(stream, Kind.FINAL_TRANSCRIPT)
            assert stream._recognition.audio.is_empty
    assert time.monotonic() - began < 0.6
    assert not raised.value.retryable
    assert [error.recoverable for error in errors] == [False]


async def test_a_drop_that_recovers_is_no_error_event() -> None:
    drops = Recogniser(Behaviour(drop_at=640))
    async with SttServer([Refusal(503), drops]) as server, recognizing(server) as recognizer:
        errors = errors_of(recognizer)
        async with recognizer.stream() as stream:
            push(stream, word(1))
            stream.end_input()
            assert texts([event async for event in stream]) == ["1"]
    assert errors == []


async def test_new_options_go_out_on_a_new_connection_after_the_final() -> None:
    async with SttServer() as server, recognizing(server) as recognizer:
        async with recognizer.stream() as stream:
            push(stream, word(1))
            await until(stream, Kind.INTERIM_TRANSCRIPT)
            recognizer.update_options(keywords=["Speko"])
            recognizer._update_session_keyterms(["Paris"])
            push(stream, pause())
            assert len(server.connections) == 1
            stream.flush()
            final = await until(stream, Kind.FINAL_TRANSCRIPT)
            assert final.alternatives[0].text == "1"
            heard = await server.connected(2)
            push(stream, word(2))
            stream.end_input()
            assert texts([event async for event in stream]) == ["2"]
    assert "keywords" not in server.connections[0].config
    assert server.connections[0].close_code == 1000
    assert heard.config["keywords"] == ["Speko", "Paris"]
    assert len(server.connections) == 2


async def test_new_options_go_out_soon_where_nothing_is_being_said() -> None:
    async with SttServer() as server, recognizing(server) as recognizer:
        async with recognizer.stream() as stream:
            push(stream, pause())
            await server.connected()
            recognizer.update_options(prompt="A bakery.")
            heard = await server.connected(2)
            push(stream, word(2))
            stream.end_input()
            assert texts([event async for event in stream]) == ["2"]
    assert heard.config["prompt"] == "A bakery."


async def test_a_language_of_the_stream_is_the_providers_and_the_transcripts() -> None:
    async with SttServer() as server, recognizing(server) as recognizer:
        async with recognizer.stream(language="de") as stream:
            push(stream, word(1))
            stream.end_input()
            final = await until(stream, Kind.FINAL_TRANSCRIPT)
    assert final.alternatives[0].language == "de"
    assert server.connections[0].config["language"] == "en-US"
    assert server.connections[0].config["sttOptions"] == {"language": "de"}


async def test_another_language_is_that_of_the_transcripts_after_its_connection() -> None:
    async with SttServer() as server, recognizing(server) as recognizer:
        async with recognizer.stream() as stream:
            push(stream, word(1))
            await until(stream, Kind.INTERIM_TRANSCRIPT)
            recognizer.update_options(intent={"language": "es"})
            stream.flush()
            first = await until(stream, Kind.FINAL_TRANSCRIPT)
            heard = await server.connected(2)
            push(stream, word(2))
            stream.end_input()
            second = await until(stream, Kind.FINAL_TRANSCRIPT)
    languages = [each.alternatives[0].language for each in (first, second)]
    assert (languages, heard.config["language"]) == (["en-US", "es"], "es")


async def test_a_caller_who_leaves_in_mid_segment_ends_it() -> None:
    async with SttServer() as server, recognizing(server) as recognizer:
        stream = recognizer.stream()
        push(stream, word(1))
        await until(stream, Kind.START_OF_SPEECH)
        ending = asyncio.create_task(until(stream, Kind.END_OF_SPEECH))
        await asyncio.sleep(0)
        await stream.aclose()
        await ending


@pytest.mark.parametrize(
    "handler",
    [Recogniser(), keep_silent, Refusal(503), closes(1011)],
    ids=["recognising", "silent", "refused", "flapping"],
)
async def test_leaving_at_any_await_closes_within_50_ms(handler: Handler | Refusal) -> None:
    async def leave(recognizer: SpekoSTT, steps: int) -> float:
        stream = recognizer.stream()
        push(stream, word(1))
        stream.flush()
        for _ in range(steps):
            await asyncio.sleep(0)
        began = time.monotonic()
        await stream.aclose()
        return time.monotonic() - began

    async with SttServer(default=handler) as server, recognizing(server) as recognizer:
        for steps in range(40):
            # A machine that is busy with something else may take long once, not thrice.
            tries = [await leave(recognizer, steps) for _ in range(3)]
            assert min(tries) < 0.05, steps


async def test_50_streams_at_once_have_their_own_words() -> None:
    async with SttServer() as server, recognizing(server) as recognizer:

        async def call(number: int) -> list[str]:
            async with recognizer.stream() as stream:
                for step in range(5):
                    push(stream, word(number * 5 + step + 1) + pause())
                    stream.flush()
                    await until(stream, Kind.FINAL_TRANSCRIPT)
                push(stream, word(1_000 + number))
                stream.end_input()
                return texts([event async for event in stream])

        said = await asyncio.gather(*(call(number) for number in range(50)))
    assert said == [[str(1_000 + number)] for number in range(50)]
    assert len(server.connections) == 50


async def test_gaps_without_frames_are_in_the_times() -> None:
    async with (
        SttServer() as server,
        recognizing(server, constraints=DEEPGRAM) as recognizer,
        recognizer.stream() as stream,
    ):
        push(stream, word(1) + pause())
        stream.flush()
        first = await until(stream, Kind.FINAL_TRANSCRIPT)
        await asyncio.sleep(0.6)
        push(stream, word(2))
        stream.end_input()
        second = await until(stream, Kind.FINAL_TRANSCRIPT)
    assert first.alternatives[0].start_time == pytest.approx(0.0, abs=0.01)
    assert second.alternatives[0].start_time == pytest.approx(0.9, abs=0.1)


async def test_a_silent_caller_costs_routine_closes_and_nothing_else() -> None:
    async def close_when_idle(heard: Heard) -> None:
        while True:
            try:
                await asyncio.wait_for(heard.ws.receive(), QUICK.idle + 0.05)
            except (TimeoutError, asyncio.TimeoutError):
                break
        await heard.ws.close(code=1011)

    async with SttServer(default=close_when_idle) as server, recognizing(server) as recognizer:
        errors = errors_of(recognizer)
        async with recognizer.stream() as stream:
            for count in range(1, 6):
                heard = await server.connected(count)
                await heard.gone.wait()
                push(stream, pause(1.0))
            assert stream._recognition._reconnects._flaps == 0
            kept = stream._recognition.audio
            assert len(kept._sent) + len(kept._unsent) < 1_000
    assert errors == []


async def test_a_long_silence_is_not_kept() -> None:
    async with SttServer(default=keep_silent) as server, recognizing(server) as recognizer:
        async with recognizer.stream() as stream:
            await server.connected()
            for _ in range(60):
                push(stream, pause(0.5))
                await asyncio.sleep(0)
            heard = server.connections[0]
            await heard.heard(60 * len(pause(0.5)))
            audio = stream._recognition.audio
            kept = sum(len(item.pcm) for item in audio._sent if hasattr(item, "pcm"))
            assert kept <= audio.bytes_per_s * 10.5


def test_bounds_are_those_of_the_interface() -> None:
    bounds = Bounds()
    assert (bounds.idle, bounds.healthy, bounds.end_wait) == (5.0, 10.0, 2.0)
    assert (bounds.backoff, bounds.most_backoff) == (0.25, 5.0)
    assert replace(bounds, idle=1.0).idle == 1.0


@pytest.mark.parametrize("text", [".", "♪", "。", "..."])
async def test_transcript_without_a_letter_or_digit_is_silence(text: str) -> None:
    noise = json.dumps({"type": "transcript", "text": text, "isFinal": False, "confidence": 1.0})
    server = SttServer([says(noise, noise.replace("false", "true"))])
    async with server, recognizing(server) as recognizer, recognizer.stream() as stream:
        push(stream, word(1))
        stream.end_input()
        events = [event async for event in stream if event.type in (Kind.START_OF_SPEECH, FINAL)]
        assert [event.type for event in events] == [Kind.START_OF_SPEECH, FINAL]
        assert texts(events) == ["1"]
