"""Sentences ahead: what is heard of a reply, and when its sentences are asked for."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from livekit.agents import telemetry, tokenize, tts
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT, USERDATA_TTS_STARTED_TIME
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import Gate, LocalGateway, Speech
from livekit_plugins_speko.tts.stream_adapter import SpekoTTSAdapter
from tests.helpers.session_line import spoken
from tests.helpers.tts_adapter_calls import (
    FIVE,
    FOUR,
    ONE,
    REPLY,
    SENTENCES,
    THREE,
    TWO,
    EachPush,
    Voice,
    adapt,
    answer_texts,
    request_for,
    say,
    voiced,
    words,
)

# 0 is LiveKit's own adapter: what holds for it has to hold ahead.
EVERY = pytest.mark.parametrize("prefetch", [0, 1, 9])


@pytest.fixture
def voice(speko: Speko, gateway: LocalGateway) -> Voice:
    answer_texts(gateway, {})
    return Voice(speko=speko)


# Options


@pytest.mark.parametrize("prefetch", [-1, True, 1.0, "1", None])
def test_a_number_of_sentences_that_is_none_is_refused(prefetch: Any) -> None:
    with pytest.raises(ValueError, match="prefetch must be a whole number, 0 or more, got"):
        adapt(Voice(speko=Speko(api_key="key")), prefetch)


def test_a_tokenizer_that_is_none_is_refused() -> None:
    options: Any = {"tts": Voice(speko=Speko(api_key="key")), "sentence_tokenizer": str}
    with pytest.raises(TypeError, match="must be a SentenceTokenizer .* got type"):
        SpekoTTSAdapter(**options)


# What is heard


@EVERY
async def test_a_reply_is_heard_in_order_whole_and_once(voice: Voice, prefetch: int) -> None:
    events = await say(adapt(voice, prefetch))
    assert words(events) == voiced(*SENTENCES)
    assert voice.asked == SENTENCES
    assert [event.is_final for event in events].count(True) == 1 and events[-1].is_final


@EVERY
async def test_each_sentence_s_text_comes_with_its_first_audio(voice: Voice, prefetch: int) -> None:
    events = await say(adapt(voice, prefetch))
    seconds, told = 0.0, []
    for event in events:
        for text in event.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, ()):
            told.append(str(text))
            assert text.start_time == pytest.approx(seconds, abs=1e-6)
            assert seconds == pytest.approx(0.1 * (len(told) - 1), abs=1e-6)
        seconds += event.frame.duration
    assert [text.strip() for text in told] == SENTENCES
    assert "".join(told) == REPLY


@EVERY
@pytest.mark.parametrize(
    ("pieces", "texts"),
    [
        ((" ", ONE, "\n\n", TWO, " "), [ONE, TWO]),
        ((" ", "\n"), []),
        ((ONE,), [ONE]),
    ],
    ids=["between", "nothing else", "none"],
)
async def test_a_blank_sentence_is_told_and_never_asked_for(
    voice: Voice, prefetch: int, pieces: tuple[str, ...], texts: list[str]
) -> None:
    events = await say(adapt(voice, prefetch, tokenizer=EachPush()), *pieces)
    assert voice.asked == texts
    assert words(events) == voiced(*texts)
    told = [t for e in events for t in e.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, ())]
    assert told == list(pieces if texts else ())


@pytest.mark.parametrize("prefetch", [1, 2])
async def test_sentences_that_come_before_their_turn_are_heard_in_their_turn(
    gateway: LocalGateway, voice: Voice, prefetch: int
) -> None:
    """There is no hole between them either: nothing is asked or waited for at their turn."""
    gate = Gate()
    answer_texts(gateway, {ONE: Speech([gate, spoken(ONE)])})
    saying = asyncio.create_task(say(adapt(voice, prefetch), " ".join(SENTENCES[: 1 + prefetch])))
    for text in SENTENCES[1 : 1 + prefetch]:
        await (await request_for(gateway, text)).finished()
    gate.open()
    assert words(await saying) == voiced(*SENTENCES[: 1 + prefetch])


async def test_the_next_sentence_is_asked_for_before_this_one_has_come(
    gateway: LocalGateway, voice: Voice
) -> None:
    gate = Gate()
    answer_texts(gateway, {ONE: Speech([spoken(ONE)[:1_000], gate, spoken(ONE)[1_000:]])})
    saying = asyncio.create_task(say(adapt(voice), f"{ONE} {TWO}"))
    await gate.reached()
    await request_for(gateway, TWO)
    gate.open()
    assert words(await saying) == voiced(ONE, TWO)


# What is asked for


@pytest.mark.parametrize("prefetch", [1, 2])
async def test_no_more_sentences_are_ahead_than_were_allowed(
    gateway: LocalGateway, voice: Voice, prefetch: int
) -> None:
    gates = [Gate() for _ in SENTENCES]
    ends = zip(SENTENCES, gates, strict=True)
    answer_texts(gateway, {text: Speech([spoken(text), gate]) for text, gate in ends})
    saying = asyncio.create_task(say(adapt(voice, prefetch)))
    for place, gate in enumerate(gates):
        allowed = SENTENCES[: place + 1 + prefetch]
        await request_for(gateway, allowed[-1])
        assert voice.asked == allowed
        gate.open()
    assert words(await saying) == voiced(*SENTENCES)


async def test_a_sentence_that_was_heard_is_let_go(gateway: LocalGateway, voice: Voice) -> None:
    gate = Gate()
    answer_texts(gateway, {THREE: Speech([gate, spoken(THREE)])})
    async with adapt(voice).stream() as stream:
        stream.push_text(REPLY)
        heard: list[tts.SynthesizedAudio] = []
        while words(heard) != voiced(ONE, TWO):
            heard.append(await asyncio.wait_for(anext(stream), 5))
        await gate.reached()
        gc.collect()
        assert sorted(each.input_text for each in voice._streams) == sorted([THREE, FOUR])
        gate.open()


@EVERY
async def test_a_sentence_is_asked_for_when_its_text_is_whole_and_no_sooner(
    gateway: LocalGateway, voice: Voice, prefetch: int
) -> None:
    async with adapt(voice, prefetch).stream() as stream:
        stream.push_text("This is the fi")
        stream.push_text("rst sentence. This is the sec")
        await request_for(gateway, ONE)
        stream.push_text("ond sentence. This is the third sentence. This is the fou")
        await request_for(gateway, THREE)
        stream.flush()
        await request_for(gateway, "This is the fou")
        stream.end_input()
        events = [event async for event in stream]
    assert voice.asked == [ONE, TWO, THREE, "This is the fou"]
    assert words(events) == voiced(*voice.asked)


@EVERY
async def test_a_reply_without_any_text_asks_for_nothing(voice: Voice, prefetch: int) -> None:
    async with adapt(voice, prefetch).stream() as stream:
        stream.flush()
        stream.end_input()
        assert [event async for event in stream] == []
    assert voice.asked == []


@EVERY
async def test_markup_is_lowered_for_a_voice_that_has_some(
    gateway: LocalGateway, speko: Speko, prefetch: int
) -> None:
    class Marked(Voice):
        class Markup(tts.TTS.Markup):
            def _provider_key(self) -> str:
                return "inworld"

    answer_texts(gateway, {})
    voice = Marked(speko=speko)
    cut = tokenize.blingfire.SentenceTokenizer(retain_format=True, xml_aware=True)
    adapter = adapt(voice, prefetch, tokenizer=cut)
    excited, pause = '<expression value="excited"/>', '<break time="500ms">'
    for expressive in (True, False):
        adapter._set_expressive(expressive)
        await say(adapter, f"{excited} {ONE} {pause} {TWO} {pause[:9]}", f"{pause[9:]} {THREE}")
    whole = f"{pause[:-1]}/>"
    assert voice.asked == [
        f"[excited] {ONE}",
        f"{whole} {TWO}",
        f"{whole} {THREE}",
        # Plain text: a tag that is not closed holds back whatever is behind it.
        f"{excited} {ONE}",
        f"{pause} {TWO} {pause} {THREE}",
    ]


# What is told


@EVERY
async def test_metrics_and_routes_of_every_sentence_are_handed_on_until_it_is_closed(
    voice: Voice, prefetch: int
) -> None:
    adapter = adapt(voice, prefetch)
    told: dict[str, list[Any]] = {"metrics_collected": [], "route": []}
    for name, events in told.items():
        adapter.on(name, events.append)
    await say(adapter)
    voice.emit("route", "a route")
    await adapter.aclose()
    async with voice.synthesize(ONE) as stream:
        await stream.collect()
    voice.emit("route", "another")
    metrics = told["metrics_collected"]
    assert sorted(each.characters_count for each in metrics) == sorted(map(len, SENTENCES))
    assert {(each.label, each.streamed, each.cancelled) for each in metrics} == {
        ("speko.TTS", False, False)
    }
    assert told["route"][-1] == "a route"


async def test_metrics_of_a_sentence_ahead_know_nothing_of_its_wait(
    gateway: LocalGateway, voice: Voice
) -> None:
    """They are there as soon as its audio is, not when it is heard; nor does it make room then."""
    gate = Gate()
    answer_texts(gateway, {ONE: Speech([gate, spoken(ONE)])})
    adapter = adapt(voice)
    metrics: asyncio.Queue[Any] = asyncio.Queue()
    adapter.on("metrics_collected", metrics.put_nowait)
    saying = asyncio.create_task(say(adapter, f"{ONE} {TWO} {THREE}"))
    ahead = await asyncio.wait_for(metrics.get(), 5)
    assert (ahead.characters_count, ahead.audio_duration) == (len(TWO), pytest.approx(0.1))
    assert voice.asked == [ONE, TWO]
    gate.open()
    await saying
    assert metrics.get_nowait().characters_count == len(ONE)


async def test_every_frame_tells_when_the_first_sentence_was_asked_for(
    gateway: LocalGateway, voice: Voice
) -> None:
    """LiveKit reckons the first audio's delay from there."""
    events = await say(adapt(voice))
    started = {event.frame.userdata[USERDATA_TTS_STARTED_TIME] for event in events}
    assert len(started) == 1
    assert started.pop() < min(request.received_at for request in gateway.requests)


@pytest.fixture
def spans() -> Iterator[Callable[[], list[tuple[str, str]]]]:
    """The spans of LiveKit's that are over: the name of each, and its parent's."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def names() -> list[tuple[str, str]]:
        spans = exporter.get_finished_spans()
        by_id = {span.context.span_id: span.name for span in spans if span.context}
        exporter.clear()
        return sorted(
            (span.name, by_id[span.parent.span_id] if span.parent else "") for span in spans
        )

    telemetry.set_tracer_provider(provider)
    yield names
    telemetry.set_tracer_provider(trace.get_tracer_provider())
    provider.shutdown()


async def test_spans_lie_as_in_livekit_s_own_adapter(
    voice: Voice, spans: Callable[[], list[tuple[str, str]]]
) -> None:
    await say(adapt(voice, 0))
    expected = spans()
    assert [name for name, _ in expected].count("tts_request") == len(SENTENCES)
    await say(adapt(voice, 2))
    assert spans() == expected


async def test_the_spans_of_a_reply_that_is_broken_off_are_over(
    gateway: LocalGateway, voice: Voice, spans: Callable[[], list[tuple[str, str]]]
) -> None:
    gate = Gate()
    answer_texts(gateway, {TWO: Speech([gate]), THREE: Speech([gate])})
    async with adapt(voice).stream() as stream:
        stream.push_text(REPLY)
        await request_for(gateway, THREE)
    assert [name for name, _ in spans()].count("tts_request") == 3


@EVERY
async def test_the_adapter_leaves_what_it_wraps_open(voice: Voice, prefetch: int) -> None:
    adapter = adapt(voice, prefetch)
    await adapter.aclose()
    assert words(await say(adapt(voice, prefetch), FIVE)) == voiced(FIVE)
