"""Provider and timings of a call: in the event, the debug log and LiveKit's spans."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import pytest
from livekit.agents import APIError, llm, telemetry, vad
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from livekit_plugins_speko import RouteEvent, Speko
from livekit_plugins_speko._call import Calls
from livekit_plugins_speko.testing import (
    Gate,
    LocalGateway,
    ProviderRoute,
    Refusal,
    Reply,
    Speech,
    Transcript,
)
from tests.helpers.llm_calls import chat, make_llm
from tests.helpers.session_calls import calling
from tests.helpers.stt_calls import SPEECH, make_stt
from tests.helpers.support import NO_RETRY, QUICK_RETRY, conversation
from tests.helpers.tts_calls import PCM, make_tts, speak, speech

ROUTE = ProviderRoute("acme", "acme-2", failover_count=1, scores_run_id="run-7")
WHO = {
    "speko.provider": "acme",
    "speko.model": "acme-2",
    "speko.failover_count": 1,
    "speko.scores_run_id": "run-7",
}
SECRET = "A secret of the caller."


def routes_of(adapter: Any) -> list[RouteEvent]:
    """The events that an adapter emits from now on."""
    events: list[RouteEvent] = []
    adapter.on("route", events.append)
    return events


async def recognize(speko: Any) -> tuple[list[RouteEvent], str]:
    events = routes_of(recognizer := make_stt(speko))
    told = await recognizer.recognize(SPEECH, conn_options=NO_RETRY)
    return events, told.request_id


async def reply(speko: Any) -> tuple[list[RouteEvent], str]:
    events = routes_of(model := make_llm(speko))
    chunks = await chat(model, ("user", SECRET))
    return events, chunks[0].id


async def synthesize(speko: Any) -> tuple[list[RouteEvent], str]:
    events = routes_of(voice := make_tts(speko))
    heard = await speak(voice, SECRET)
    return events, heard[0].request_id


# Makes one call; returns its event, and the id that LiveKit gave it.
Call: TypeAlias = Callable[[Any], Awaitable[tuple[list[RouteEvent], str]]]
CALLS = pytest.mark.parametrize(
    ("call", "name"),
    [(recognize, "transcribe"), (reply, "complete"), (synthesize, "synthesize")],
    ids=["stt", "llm", "tts"],
)


def script(gateway: LocalGateway) -> None:
    gateway.transcribe.always(Transcript(SECRET, route=ROUTE))
    gateway.complete.always(Reply(SECRET, route=ROUTE))
    gateway.synthesize.always(Speech(PCM, route=ROUTE))


@pytest.fixture
def spans() -> Iterator[Callable[[], tuple[ReadableSpan, ...]]]:
    """Spans that LiveKit's tracer has written."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry.set_tracer_provider(provider)
    yield exporter.get_finished_spans
    telemetry.set_tracer_provider(trace.get_tracer_provider())
    provider.shutdown()


@CALLS
async def test_each_call_has_one_event_with_route_and_timings(
    gateway: LocalGateway, client: Any, call: Call, name: str
) -> None:
    script(gateway)
    (event,), request_id = await call(client)
    assert (event.type, event.call, event.outcome) == ("route", name, "completed")
    assert event.request_id == request_id
    assert (event.provider, event.model) == ("acme", "acme-2")
    assert (event.failover_count, event.scores_run_id) == (1, "run-7")
    assert event.first_output_s is not None
    assert 0 < event.first_output_s <= event.end_s


@CALLS
async def test_timings_are_in_chronological_order(
    gateway: LocalGateway, speko: Speko, call: Call, name: str
) -> None:
    script(gateway)
    (event,), _ = await call(speko)
    assert event.headers_s is not None and event.first_output_s is not None
    assert 0 < event.headers_s <= event.first_output_s <= event.end_s


@CALLS
async def test_event_says_if_the_connection_was_reused(
    gateway: LocalGateway, speko: Speko, call: Call, name: str
) -> None:
    script(gateway)
    (first,), _ = await call(speko)
    (second,), _ = await call(speko)
    assert (first.connection_reused, second.connection_reused) == (False, True)


async def test_tts_metrics_have_the_reused_connection(gateway: LocalGateway, speko: Speko) -> None:
    script(gateway)
    voice = make_tts(speko)
    collected: list[Any] = []
    voice.on("metrics_collected", collected.append)
    await speak(voice)
    await speak(voice)
    assert [metrics.connection_reused for metrics in collected] == [False, True]
    assert all(0 < metrics.acquire_time < metrics.ttfb for metrics in collected)


@CALLS
async def test_log_has_the_same_fields_but_no_speech(
    gateway: LocalGateway,
    speko: Speko,
    call: Call,
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="livekit.plugins.speko")
    script(gateway)
    (event,), _ = await call(speko)
    (record,) = (each for each in caplog.records if each.name == "livekit.plugins.speko")
    assert (record.levelno, record.getMessage()) == (logging.DEBUG, "call ended")
    fields = {key: value for key, value in vars(record).items() if key.startswith("speko.")}
    assert fields == event.fields()
    assert WHO.items() <= fields.items()
    assert fields["speko.headers_s"] == event.headers_s
    assert SECRET not in str(vars(record))


@pytest.mark.parametrize(
    ("call", "span_name"),
    [(recognize, "stt_request"), (reply, "llm_request_run"), (synthesize, "tts_request_run")],
    ids=["stt", "llm", "tts"],
)
async def test_livekits_span_has_the_fields_as_attributes(
    gateway: LocalGateway,
    speko: Speko,
    spans: Callable[[], tuple[ReadableSpan, ...]],
    call: Call,
    span_name: str,
) -> None:
    script(gateway)
    (event,), _ = await call(speko)
    (span,) = (each for each in spans() if each.name == span_name)
    assert span.attributes is not None
    assert event.fields().items() <= dict(span.attributes).items()


async def test_unknown_fields_are_left_out(gateway: LocalGateway, speko: Speko) -> None:
    gateway.synthesize.always(
        Speech(PCM, route=ProviderRoute("acme", "acme-2", scores_run_id=None))
    )
    (event,), _ = await synthesize(speko)
    assert event.scores_run_id is None
    assert "speko.scores_run_id" not in event.fields()
    assert None not in event.fields().values()


async def test_each_attempt_has_an_event(gateway: LocalGateway, speko: Speko) -> None:
    events = routes_of(voice := make_tts(speko))
    gateway.synthesize.script(Refusal(503, "busy", "SYNTHESIZE_FAILED"), speech())
    await speak(voice, conn_options=QUICK_RETRY)
    assert [event.outcome for event in events] == ["failed", "completed"]
    failed = events[0]
    assert failed.headers_s is not None and failed.first_output_s is None
    assert events[0].request_id != events[1].request_id


async def test_call_without_a_response_has_an_event() -> None:
    async with LocalGateway() as gone:
        base_url = gone.base_url
    async with Speko(api_key="k", base_url=base_url) as speko:
        events = routes_of(recognizer := make_stt(speko))
        with pytest.raises(APIError):
            await recognizer.recognize(SPEECH, conn_options=NO_RETRY)
    (event,) = events
    assert (event.outcome, event.provider, event.model) == ("failed", "unknown", "unknown")
    assert (event.headers_s, event.connection_reused) == (None, None)


async def test_call_cancelled_by_a_barge_in_has_its_route(
    gateway: LocalGateway, speko: Speko
) -> None:
    gate = Gate()
    gateway.synthesize.script(speech([PCM, gate, PCM]))
    events = routes_of(voice := make_tts(speko))
    async with voice.synthesize("Hello there.", conn_options=NO_RETRY) as stream:
        await anext(stream)
    (event,) = events
    assert (event.outcome, event.provider) == ("cancelled", "acme")


async def test_cancelled_reply_has_an_event(gateway: LocalGateway, speko: Speko) -> None:
    gate = Gate()
    gateway.complete.script(Reply(["Hello", gate, " there."], route=ROUTE))
    events = routes_of(model := make_llm(speko))
    async with model.chat(chat_ctx=conversation(("user", "Hi")), conn_options=NO_RETRY) as stream:
        await anext(stream)
    (event,) = events
    assert (event.outcome, event.provider) == ("cancelled", "acme")


async def test_call_that_was_never_sent_has_no_event(gateway: LocalGateway, speko: Speko) -> None:
    events = routes_of(model := make_llm(speko))
    with pytest.raises(APIError, match="holds no message"):
        async with model.chat(chat_ctx=llm.ChatContext(), conn_options=NO_RETRY) as stream:
            await anext(stream)
    assert events == []


def fail(error: Exception) -> Callable[[RouteEvent], None]:
    def listener(event: RouteEvent) -> None:
        raise error

    return listener


# LiveKit's emitter logs the one and raises the other.
FAILING = pytest.mark.parametrize("error", [RuntimeError("no"), TypeError("no")], ids=repr)


@FAILING
async def test_failing_listener_does_not_fail_the_call(
    gateway: LocalGateway, speko: Speko, error: Exception
) -> None:
    script(gateway)
    voice = make_tts(speko)
    voice.on("route", fail(error))
    assert await speak(voice)


@FAILING
async def test_failing_listener_does_not_hide_the_calls_error(
    gateway: LocalGateway, speko: Speko, error: Exception
) -> None:
    gateway.transcribe.script(Refusal(400, "no audio", "INVALID_AUDIO"))
    recognizer = make_stt(speko)
    recognizer.on("route", fail(error))
    with pytest.raises(APIError, match="no audio"):
        await recognizer.recognize(SPEECH, conn_options=NO_RETRY)


@FAILING
async def test_failing_listener_does_not_swallow_a_cancellation(
    gateway: LocalGateway, speko: Speko, error: Exception
) -> None:
    gate = Gate()
    gateway.transcribe.script(Transcript("hello", interim=[gate]))
    recognizer = make_stt(speko)
    recognizer.on("route", fail(error))
    call = asyncio.create_task(recognizer.recognize(SPEECH, conn_options=NO_RETRY))
    await gate.reached()
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()


async def test_call_whose_coroutine_was_discarded_has_an_event() -> None:
    """As the garbage collector ends a coroutine that is no longer awaited."""
    events = routes_of(recognizer := make_stt(Speko(api_key="k", base_url="http://127.0.0.1:1")))
    block = Calls(recognizer, "transcribe").open("id", 60.0)
    await asyncio.create_task(block.__aenter__())
    await block.__aexit__(GeneratorExit, GeneratorExit(), None)
    assert [event.outcome for event in events] == ["cancelled"]


async def test_concurrent_calls_have_separate_timings(gateway: LocalGateway, speko: Speko) -> None:
    gate = Gate()
    gateway.synthesize.script(speech([gate, PCM]), speech())
    events = routes_of(voice := make_tts(speko))
    first = asyncio.create_task(speak(voice, "First."))
    await gate.reached()
    await speak(voice, "Second.")
    gate.open()
    await first
    second_end, first_end = (event.end_s for event in events)
    assert first_end > second_end


async def test_each_call_of_a_session_has_a_span_below_livekits(
    voice_detector: vad.VAD, spans: Callable[[], tuple[ReadableSpan, ...]]
) -> None:
    async with calling(voice_detector) as call:
        await call.take_a_turn("silence")
    names = {span.context.span_id: span.name for span in spans()}
    parents = {span.name: names.get(span.parent.span_id) for span in spans() if span.parent}
    asked = {span.name for span in spans() if "speko.outcome" in dict(span.attributes or {})}
    assert asked == {"stt_request", "llm_request_run", "tts_request_run"}
    assert parents["stt_request"] == "agent_session"
    assert parents["llm_request_run"] == "llm_request"
    assert parents["tts_request_run"] == "tts_request"
