"""Prefetched sentences that fail, and replies that are cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import APIConnectionError, APIError, APIStatusError, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import Answer, Gate, LocalGateway, Refusal, Speech
from tests.cancel.calls import (
    EVERY_TURN,
    Watch,
    cancel_after,
    later_and_later,
    nothing_reported,
)
from tests.helpers.session_faults import PCM, Broken
from tests.helpers.session_line import spoken
from tests.helpers.support import NO_RETRY, QUICK_RETRY, errors_of
from tests.helpers.tts_adapter_calls import (
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
    voiced,
    words,
)

REFUSED = Refusal(401, "wrong key", "AUTH_ERROR")


@pytest.fixture
def voice(speko: Speko) -> Voice:
    return Voice(speko=speko)


@pytest.fixture(autouse=True)
async def unseen_errors_fail() -> Any:
    with nothing_reported():
        yield


# Sentences that fail


@WITH_LIVEKITS
@pytest.mark.parametrize(
    ("answer", "began", "expected"),
    [
        (REFUSED, False, APIStatusError),
        (Broken(PCM, spoken(TWO)[:2_000]), True, APIConnectionError),
        (Speech(b""), False, APIError),
    ],
    ids=["refused", "cut", "empty"],
)
async def test_error_of_a_sentence_follows_the_sentences_before_it(
    gateway: LocalGateway,
    voice: Voice,
    prefetch: int | None,
    answer: Answer,
    began: bool,
    expected: type[APIError],
) -> None:
    """The adapter and the wrapped TTS each report it once, as in LiveKit's own."""
    respond(gateway, {TWO: answer})
    adapter = adapt_any(voice, prefetch)
    told, told_within, heard = errors_of(adapter), errors_of(voice), list[tts.SynthesizedAudio]()
    with pytest.raises(expected) as raised:
        await say(adapter, heard=heard)
    sound = words(heard)
    assert sound.startswith(voiced(ONE)) and voiced(ONE, TWO).startswith(sound)
    assert (len(sound) > len(voiced(ONE))) == began
    for errors in (told, told_within):
        assert [(each.error, each.recoverable) for each in errors] == [(raised.value, False)]
    assert voice.texts == SENTENCES[: 2 + (prefetch or 0)]


@WITH_LIVEKITS
async def test_error_ends_a_reply_whose_text_is_unfinished(
    gateway: LocalGateway, voice: Voice, prefetch: int | None
) -> None:
    respond(gateway, {TWO: REFUSED})
    async with adapt_any(voice, prefetch).stream(conn_options=NO_RETRY) as stream:
        stream.push_text(REPLY)
        with pytest.raises(APIStatusError):
            while await asyncio.wait_for(anext(stream), 5):
                pass


@pytest.mark.parametrize("answer", [REFUSED, Speech(b"")], ids=["refused", "empty"])
async def test_error_of_a_prefetched_sentence_waits_for_its_turn(
    gateway: LocalGateway, voice: Voice, answer: Answer
) -> None:
    gate = Gate()
    respond(gateway, {ONE: Speech([spoken(ONE)[:2_000], gate, spoken(ONE)[2_000:]]), TWO: answer})
    adapter, failed, heard = adapt(voice), asyncio.Event(), list[tts.SynthesizedAudio]()
    voice.on("error", lambda _: failed.set())
    told = errors_of(adapter)
    saying = asyncio.create_task(say(adapter, heard=heard))
    await gate.reached()
    await asyncio.wait_for(failed.wait(), 5)
    assert told == [] and not saying.done()
    gate.open()
    with pytest.raises(APIError):
        await saying
    assert words(heard) == voiced(ONE)
    assert len(told) == 1


@WITH_LIVEKITS
async def test_retried_sentence_is_spoken_in_its_turn(
    gateway: LocalGateway, voice: Voice, prefetch: int | None
) -> None:
    gateway.synthesize.script(Refusal(503, "later", "OVERLOADED"))
    respond(gateway, {})
    adapter = adapt_any(voice, prefetch)
    told, told_within = errors_of(adapter), errors_of(voice)
    assert words(await say(adapter, conn_options=QUICK_RETRY)) == voiced(*SENTENCES)
    assert (told, [each.recoverable for each in told_within]) == ([], [True])
    assert len(gateway.requests) == len(SENTENCES) + 1


async def test_error_cancels_the_requests_after_it(gateway: LocalGateway, voice: Voice) -> None:
    first, gate = Gate(), Gate()
    respond(
        gateway,
        {
            ONE: Speech([spoken(ONE), first]),
            TWO: REFUSED,
            THREE: Speech([gate]),
            FOUR: Speech([spoken(FOUR), gate]),
        },
    )
    heard: list[tts.SynthesizedAudio] = []
    text = " ".join(SENTENCES[:4])
    saying = asyncio.create_task(say(adapt(voice, 3), text, heard=heard))
    behind = [await request_for(gateway, text) for text in (THREE, FOUR)]
    first.open()
    with pytest.raises(APIStatusError):
        await saying
    assert words(heard) == voiced(ONE)
    for request in behind:
        await request.finished()
        assert request.cancelled
    assert voice.texts == SENTENCES[:4]


async def test_only_the_first_error_of_a_reply_is_raised(
    gateway: LocalGateway, voice: Voice
) -> None:
    """Only the wrapped TTS, which made the request, reports it."""
    gate = Gate()
    respond(gateway, {ONE: Speech([spoken(ONE), gate]), TWO: REFUSED, THREE: REFUSED})
    adapter, both = adapt(voice, 2), asyncio.Event()
    told, told_within = errors_of(adapter), errors_of(voice)
    voice.on("error", lambda _: both.set() if len(told_within) == 2 else None)
    saying = asyncio.create_task(say(adapter))
    await asyncio.wait_for(both.wait(), 5)
    gate.open()
    with pytest.raises(APIStatusError):
        await saying
    assert len(told) == 1


class Mute(Voice):
    """Raises as the second sentence begins."""

    def synthesize(self, text: str, **options: Any) -> Any:
        if text == TWO:
            raise LookupError(text)
        return super().synthesize(text, **options)


@WITH_LIVEKITS
@pytest.mark.parametrize("mute", [True, False], ids=["voice", "tokenizer"])
async def test_bug_is_raised_after_the_sentences_before_it(
    gateway: LocalGateway, speko: Speko, prefetch: int, mute: bool
) -> None:
    gate, heard = Gate(), list[tts.SynthesizedAudio]()
    respond(gateway, {ONE: Speech([gate, spoken(ONE)])})
    voice = Mute(speko=speko) if mute else Voice(speko=speko)
    adapter = adapt_any(voice, prefetch, tokenizer=EachPush())
    saying = asyncio.create_task(say(adapter, ONE, TWO if mute else "broken", THREE, heard=heard))
    await gate.reached()
    gate.open()
    with pytest.raises(LookupError):
        await saying
    assert words(heard) == voiced(ONE)
    assert voice.texts == [ONE]


# Cancelled replies


async def test_closing_a_stream_cancels_every_request_at_once(
    gateway: LocalGateway, voice: Voice
) -> None:
    gate = Gate()
    first = Speech([spoken(ONE)[:2_000], gate])
    respond(gateway, {ONE: first, TWO: Speech([gate]), THREE: Speech([spoken(THREE), gate])})
    adapter = adapt(voice, 2)
    told = errors_of(adapter)
    stream = adapter.stream(conn_options=NO_RETRY)
    stream.push_text(REPLY)
    await asyncio.wait_for(anext(stream), 5)
    requests = [await request_for(gateway, text) for text in (ONE, TWO, THREE)]
    await asyncio.wait_for(stream.aclose(), 5)
    for request in requests:
        await request.finished()
        assert request.cancelled
    assert (voice.texts, told) == ([ONE, TWO, THREE], [])


class Slow(tts.TTS[Any]):
    """Says nothing, and takes its time to be closed."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=24_000, num_channels=1
        )
        # Texts of the requests begun, and of those cancelled.
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.cancelled: asyncio.Queue[str] = asyncio.Queue()
        # Set when the request for a text may end.
        self.may_end = {text: asyncio.Event() for text in SENTENCES}

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return SlowStream(tts=self, input_text=text, conn_options=conn_options)


class SlowStream(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        assert isinstance(self._tts, Slow)
        self._tts.begun.put_nowait(self.input_text)
        try:
            await asyncio.Event().wait()
        finally:
            self._tts.cancelled.put_nowait(self.input_text)
            await self._tts.may_end[self.input_text].wait()


async def test_closing_cancels_all_requests_at_once_and_waits_for_each() -> None:
    voice = Slow()
    stream = adapt(voice, 2).stream()
    stream.push_text(REPLY)
    stream.end_input()
    texts = [await asyncio.wait_for(voice.begun.get(), 5) for _ in range(3)]
    closing = asyncio.create_task(stream.aclose())
    try:
        cancelled = [await asyncio.wait_for(voice.cancelled.get(), 5) for _ in range(3)]
        for text in (ONE, TWO):
            voice.may_end[text].set()
            done, _ = await asyncio.wait({closing}, timeout=0.05)
            assert not done, f"the stream closed although only {text!r} and before had ended"
    finally:
        for may_end in voice.may_end.values():
            may_end.set()
        await closing
    assert sorted(cancelled) == sorted(texts) == sorted([ONE, TWO, THREE])


async def test_closing_a_stream_drops_a_pending_error(gateway: LocalGateway, voice: Voice) -> None:
    gate, failed = Gate(), asyncio.Event()
    respond(gateway, {ONE: Speech([spoken(ONE), gate]), TWO: REFUSED})
    voice.on("error", lambda _: failed.set())
    async with adapt(voice).stream(conn_options=NO_RETRY) as stream:
        stream.push_text(REPLY)
        await asyncio.wait_for(failed.wait(), 5)


async def test_closing_a_stream_closes_its_sentence_stream(
    gateway: LocalGateway, voice: Voice
) -> None:
    gate, tokenizer = Gate(), EachPush()
    respond(gateway, {ONE: Speech([gate])})
    async with adapt(voice, tokenizer=tokenizer).stream() as stream:
        stream.push_text(ONE)
        await gate.reached()
    assert [each.closed for each in tokenizer.streams] == [True]


async def test_stream_without_input_closes(voice: Voice) -> None:
    async with adapt(voice).stream():
        pass
    stream = adapt(voice).stream()
    await asyncio.sleep(0)
    await stream.aclose()
    await stream.aclose()
    assert voice.texts == []


async def test_closing_the_tts_cancels_the_reply(gateway: LocalGateway, voice: Voice) -> None:
    gate = Gate()
    respond(gateway, {ONE: Speech([gate]), TWO: Speech([gate])})
    saying = asyncio.create_task(say(adapt(voice), f"{ONE} {TWO}"))
    requests = [await request_for(gateway, text) for text in (ONE, TWO)]
    await voice.aclose()
    with pytest.raises(APIError, match="no audio frames"):
        await saying
    for request in requests:
        await request.finished()
        assert request.cancelled


@pytest.mark.parametrize("every_turn", [False, True], ids=["once", "every turn"])
async def test_reply_can_be_cancelled_at_any_moment(
    gateway: LocalGateway, speko: Speko, every_turn: bool
) -> None:
    async def reply(speko: Speko, watch: Watch) -> None:
        async with watch.adapter(adapt(Voice(speko=speko))).stream() as stream:
            stream.push_text(REPLY)
            stream.end_input()
            async for _ in stream:
                pass

    respond(gateway, {})
    for turns in later_and_later():
        if await cancel_after(turns, speko, reply, every_turn=every_turn, at_once=False):
            break
    assert turns > EVERY_TURN // 2
    await gateway.idle(connections=100)
