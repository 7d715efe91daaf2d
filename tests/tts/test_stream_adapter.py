"""Prefetched sentences: the audio of a reply, and the time of its requests."""

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
from tests.helpers.support import errors_of
from tests.helpers.tts_adapter_calls import (
    EVERY,
    FIVE,
    FOUR,
    ONE,
    REPLY,
    SENTENCES,
    THREE,
    TWO,
    WITH_LIVEKITS,
    EachPush,
    Voice,
    adapt,
    adapt_any,
    request_for,
    respond,
    say,
    transcript,
    voiced,
    words,
)


@pytest.fixture
def voice(speko: Speko, gateway: LocalGateway) -> Voice:
    respond(gateway, {})
    return Voice(speko=speko)


# Options


@pytest.mark.parametrize("prefetch", [-1, True, 1.0, "1", None])
def test_unusable_prefetch_is_refused(prefetch: Any) -> None:
    with pytest.raises(ValueError, match="prefetch must be a whole number, 0 or more, got"):
        adapt(Voice(speko=Speko(api_key="key")), prefetch)


def test_unusable_tokenizer_is_refused() -> None:
    options: Any = {"tts": Voice(speko=Speko(api_key="key")), "sentence_tokenizer": str}
    with pytest.raises(TypeError, match="must be a SentenceTokenizer .* got type"):
        SpekoTTSAdapter(**options)


# Speech


@WITH_LIVEKITS
async def test_reply_is_spoken_in_order_completely_and_once(
    voice: Voice, prefetch: int | None
) -> None:
    events = await say(adapt_any(voice, prefetch))
    assert words(events) == voiced(*SENTENCES)
    assert voice.texts == SENTENCES
    assert [event.is_final for event in events].count(True) == 1 and events[-1].is_final


@WITH_LIVEKITS
async def test_transcript_of_a_sentence_comes_with_its_first_audio(
    voice: Voice, prefetch: int | None
) -> None:
    events = await say(adapt_any(voice, prefetch))
    seconds, told = 0.0, []
    for event in events:
        for text in event.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, ()):
            told.append(str(text))
            assert text.start_time == pytest.approx(seconds, abs=1e-6)
            assert seconds == pytest.approx(0.1 * (len(told) - 1), abs=1e-6)
        seconds += event.frame.duration
    assert [text.strip() for text in told] == SENTENCES
    assert "".join(told) == REPLY


SILENT = ("!", ".)", "\u300d", "...", "\N{WAVING HAND SIGN}", "\u0964", " ", "\n\n")


@EVERY
@pytest.mark.parametrize("silent", SILENT)
async def test_piece_without_a_letter_or_digit_makes_no_request(
    voice: Voice, prefetch: int, silent: str
) -> None:
    pieces = (silent, ONE, silent, TWO, silent)
    events = await say(adapt(voice, prefetch, tokenizer=EachPush()), *pieces)
    assert voice.texts == [ONE, TWO]
    assert words(events) == voiced(ONE, TWO)
    assert transcript(events) == list(pieces)


@pytest.mark.parametrize("text", ["7", "\u0e01", "\u0661", "\u00e9!", "\u4e8c\u3002"])
async def test_letter_or_digit_of_any_script_is_spoken(voice: Voice, text: str) -> None:
    await say(adapt(voice, tokenizer=EachPush()), text)
    assert voice.texts == [text]


@EVERY
async def test_reply_without_a_letter_or_digit_is_a_moment_of_silence(
    voice: Voice, prefetch: int
) -> None:
    """LiveKit takes a reply with text and without audio for a failure."""
    adapter = adapt(voice, prefetch, tokenizer=EachPush())
    errors = errors_of(adapter)
    events = await say(adapter, "...", "!")
    assert words(events) == b""
    assert 0 < sum(event.frame.duration for event in events) < 0.05
    assert transcript(events) == ["...", "!"]
    assert (errors, voice.texts) == ([], [])


@WITH_LIVEKITS
@pytest.mark.parametrize("pieces", [(" ", "\n"), ("",)], ids=["blank", "empty"])
async def test_blank_reply_has_no_audio(
    voice: Voice, prefetch: int | None, pieces: tuple[str, ...]
) -> None:
    assert await say(adapt_any(voice, prefetch, tokenizer=EachPush()), *pieces) == []
    assert voice.texts == []


@pytest.mark.parametrize("prefetch", [1, 2])
async def test_prefetched_audio_waits_for_its_turn(
    gateway: LocalGateway, voice: Voice, prefetch: int
) -> None:
    """There is no gap between them: at their turn nothing is requested or waited for."""
    gate = Gate()
    respond(gateway, {ONE: Speech([gate, spoken(ONE)])})
    saying = asyncio.create_task(say(adapt(voice, prefetch), " ".join(SENTENCES[: 1 + prefetch])))
    for text in SENTENCES[1 : 1 + prefetch]:
        await (await request_for(gateway, text)).finished()
    gate.open()
    assert words(await saying) == voiced(*SENTENCES[: 1 + prefetch])


async def test_next_sentence_is_requested_before_the_current_audio_is_complete(
    gateway: LocalGateway, voice: Voice
) -> None:
    gate = Gate()
    respond(gateway, {ONE: Speech([spoken(ONE)[:1_000], gate, spoken(ONE)[1_000:]])})
    saying = asyncio.create_task(say(adapt(voice), f"{ONE} {TWO}"))
    await gate.reached()
    await request_for(gateway, TWO)
    gate.open()
    assert words(await saying) == voiced(ONE, TWO)


# Requests


@pytest.mark.parametrize("prefetch", [1, 2])
async def test_prefetch_bounds_the_requests_ahead(
    gateway: LocalGateway, voice: Voice, prefetch: int
) -> None:
    gates = [Gate() for _ in SENTENCES]
    ends = zip(SENTENCES, gates, strict=True)
    respond(gateway, {text: Speech([spoken(text), gate]) for text, gate in ends})
    saying = asyncio.create_task(say(adapt(voice, prefetch)))
    for place, gate in enumerate(gates):
        allowed = SENTENCES[: place + 1 + prefetch]
        await request_for(gateway, allowed[-1])
        assert voice.texts == allowed
        gate.open()
    assert words(await saying) == voiced(*SENTENCES)


async def test_spoken_sentence_is_released(gateway: LocalGateway, voice: Voice) -> None:
    gate = Gate()
    respond(gateway, {THREE: Speech([gate, spoken(THREE)])})
    async with adapt(voice).stream() as stream:
        stream.push_text(REPLY)
        heard: list[tts.SynthesizedAudio] = []
        while words(heard) != voiced(ONE, TWO):
            heard.append(await asyncio.wait_for(anext(stream), 5))
        await gate.reached()
        gc.collect()
        assert sorted(each.input_text for each in voice._streams) == sorted([THREE, FOUR])
        gate.open()


@WITH_LIVEKITS
async def test_sentence_is_requested_once_its_text_is_complete(
    gateway: LocalGateway, voice: Voice, prefetch: int | None
) -> None:
    async with adapt_any(voice, prefetch).stream() as stream:
        stream.push_text("This is the fi")
        stream.push_text("rst sentence. This is the sec")
        await request_for(gateway, ONE)
        stream.push_text("ond sentence. This is the third sentence. This is the fou")
        await request_for(gateway, THREE)
        stream.flush()
        await request_for(gateway, "This is the fou")
        stream.end_input()
        events = [event async for event in stream]
    assert voice.texts == [ONE, TWO, THREE, "This is the fou"]
    assert words(events) == voiced(*voice.texts)


@WITH_LIVEKITS
async def test_reply_without_text_makes_no_request(voice: Voice, prefetch: int | None) -> None:
    async with adapt_any(voice, prefetch).stream() as stream:
        stream.flush()
        stream.end_input()
        assert [event async for event in stream] == []
    assert voice.texts == []


@WITH_LIVEKITS
async def test_markup_is_converted_for_a_voice_that_supports_it(
    gateway: LocalGateway, speko: Speko, prefetch: int | None
) -> None:
    class Marked(Voice):
        class Markup(tts.TTS.Markup):
            def _provider_key(self) -> str:
                return "inworld"

    respond(gateway, {})
    voice = Marked(speko=speko)
    cut = tokenize.blingfire.SentenceTokenizer(retain_format=True, xml_aware=True)
    adapter = adapt_any(voice, prefetch, tokenizer=cut)
    excited, pause = '<expression value="excited"/>', '<break time="500ms">'
    for expressive in (True, False):
        adapter._set_expressive(expressive)
        await say(adapter, f"{excited} {ONE} {pause} {TWO} {pause[:9]}", f"{pause[9:]} {THREE}")
    whole = f"{pause[:-1]}/>"
    assert voice.texts == [
        f"[excited] {ONE}",
        f"{whole} {TWO}",
        f"{whole} {THREE}",
        # Plain text: a tag that is not closed holds back the text after it.
        f"{excited} {ONE}",
        f"{pause} {TWO} {pause} {THREE}",
    ]


# Events


class HiddenMarkup(Voice):
    """A voice under a LiveKit that has renamed the attribute that enables markup.

    LiveKit's own adapter still finds it, right after this one has looked.
    """

    def __init__(self, **options: Any) -> None:
        self._looks = 0
        super().__init__(**options)

    @property
    def _expressive(self) -> bool:
        self._looks += 1
        if self._looks % 2:
            raise AttributeError("_expressive")
        return False

    @_expressive.setter
    def _expressive(self, value: bool) -> None: ...


async def test_unknown_markup_support_is_warned_of_once(
    gateway: LocalGateway, speko: Speko, caplog: pytest.LogCaptureFixture
) -> None:
    respond(gateway, {})
    adapter = adapt(HiddenMarkup(speko=speko))
    for text in (ONE, TWO):
        assert words(await say(adapter, text)) == voiced(text)
    (record,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert vars(record)["missing"].endswith("has no HiddenMarkup._expressive")


@EVERY
async def test_metrics_and_routes_are_forwarded_until_aclose(voice: Voice, prefetch: int) -> None:
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


async def test_metrics_of_a_sentence_ahead_exclude_its_wait(
    gateway: LocalGateway, voice: Voice
) -> None:
    """They come with its audio, before its turn; it still counts as a request ahead."""
    gate = Gate()
    respond(gateway, {ONE: Speech([gate, spoken(ONE)])})
    adapter = adapt(voice)
    metrics: asyncio.Queue[Any] = asyncio.Queue()
    adapter.on("metrics_collected", metrics.put_nowait)
    saying = asyncio.create_task(say(adapter, f"{ONE} {TWO} {THREE}"))
    ahead = await asyncio.wait_for(metrics.get(), 5)
    assert (ahead.characters_count, ahead.audio_duration) == (len(TWO), pytest.approx(0.1))
    assert voice.texts == [ONE, TWO]
    gate.open()
    await saying
    assert metrics.get_nowait().characters_count == len(ONE)


async def test_every_frame_has_the_time_of_the_first_request(
    gateway: LocalGateway, voice: Voice
) -> None:
    """LiveKit measures the delay of the first audio from there."""
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


async def test_spans_are_nested_as_in_livekits_own_adapter(
    voice: Voice, spans: Callable[[], list[tuple[str, str]]]
) -> None:
    await say(adapt(voice, 0))
    expected = spans()
    assert [name for name, _ in expected].count("tts_request") == len(SENTENCES)
    await say(adapt(voice, 2))
    assert spans() == expected


async def test_cancelled_reply_ends_its_spans(
    gateway: LocalGateway, voice: Voice, spans: Callable[[], list[tuple[str, str]]]
) -> None:
    gate = Gate()
    respond(gateway, {TWO: Speech([gate]), THREE: Speech([gate])})
    async with adapt(voice).stream() as stream:
        stream.push_text(REPLY)
        await request_for(gateway, THREE)
    assert [name for name, _ in spans()].count("tts_request") == 3


@WITH_LIVEKITS
async def test_aclose_leaves_the_wrapped_tts_open(voice: Voice, prefetch: int | None) -> None:
    adapter = adapt_any(voice, prefetch)
    await adapter.aclose()
    assert words(await say(adapt_any(voice, prefetch), FIVE)) == voiced(FIVE)
