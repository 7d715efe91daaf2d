"""Whole sessions whose recognition streams: the words, the requests and the replies of a turn."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.agents import stt, vad
from livekit.agents.metrics import STTMetrics

from livekit_plugins_speko import Speko, SpekoSTT
from livekit_plugins_speko.testing import (
    Interim,
    LocalGateway,
    RecognitionConnection,
    StreamedTranscript,
)
from tests.helpers.eager_sessions import HESITATION, LEAD, MORE_WORDS, PAUSE, REST, WORDS
from tests.helpers.streaming_sessions import PatientEar, Stretches, streaming_calling

pytestmark = pytest.mark.usefixtures("nothing_is_lost")

EAGER = [pytest.param(True, id="eager"), pytest.param(False, id="plain")]


@pytest.mark.parametrize("eager", EAGER)
async def test_utterance_without_a_pause_has_one_final_and_one_reply(
    voice_detector: vad.VAD, eager: bool
) -> None:
    """And no request to `/v1/transcribe`, as after every call here."""
    async with streaming_calling(voice_detector, Stretches(("Thank you.",)), eager=eager) as call:
        call.caller.say(LEAD, WORDS, PAUSE, REST)
        await call.turn_over()
        assert call.final == call.asked() == ["Thank you."]
        call.assert_answered("Thank you.")
        assert len(call.gateway.requests_to("transcribe_stream")) == 1


@pytest.mark.parametrize("eager", EAGER)
async def test_pause_of_300_ms_costs_one_final_and_one_wasted_reply_at_most(
    voice_detector: vad.VAD, eager: bool
) -> None:
    texts = Stretches(("Thank you.", "A story."))
    async with streaming_calling(voice_detector, texts, eager=eager) as call:
        call.caller.say(LEAD, WORDS, HESITATION, MORE_WORDS, PAUSE, REST)
        await call.turn_over()
        assert call.final == ["Thank you. A story."]
        *wasted, used = call.asked()
        assert (wasted, used) in [([], call.final[0]), (["Thank you."], call.final[0])]
        call.assert_answered("Thank you. A story.")


@pytest.mark.parametrize("eager", EAGER)
@pytest.mark.parametrize("mode", ["vad", "stt"])
async def test_turns_end_in_either_mode(voice_detector: vad.VAD, eager: bool, mode: str) -> None:
    # Only the provider's own endpointing ends a turn in mode "stt".
    texts = Stretches(("Thank you.", "A story."), endpoint_s=0.7)
    options = {"turn_detection": mode}
    async with streaming_calling(
        voice_detector, texts, eager=eager, session_options=options
    ) as call:
        for words, text in ((WORDS, "Thank you."), (MORE_WORDS, "A story.")):
            call.caller.say(LEAD, words, PAUSE, REST)
            await call.turn_over(text)
        call.assert_answered("Thank you.", "A story.")


@pytest.mark.parametrize("eager", EAGER)
@pytest.mark.parametrize("interims", [True, False], ids=["interims", "none"])
async def test_provider_that_ignores_flush_has_one_final(
    voice_detector: vad.VAD, eager: bool, interims: bool
) -> None:
    texts = Stretches(
        ("Thank you.", "A story."), obeys_flush=False, endpoint_s=0.7, interims=interims
    )
    async with streaming_calling(voice_detector, texts, eager=eager) as call:
        call.caller.say(LEAD, WORDS, HESITATION, MORE_WORDS, PAUSE, REST, REST)
        await call.turn_over()
        assert call.final == ["Thank you. A story."]
        call.assert_answered("Thank you. A story.")


@pytest.mark.parametrize("eager", EAGER)
async def test_turn_that_is_committed_by_hand_has_its_words_once(
    voice_detector: vad.VAD, eager: bool
) -> None:
    texts = Stretches(("Thank you.", "A story.", "Goodbye."))
    options = {"turn_detection": "manual"}
    async with streaming_calling(
        voice_detector, texts, eager=eager, session_options=options
    ) as call:
        call.caller.say(LEAD, WORDS, HESITATION)
        await call.until(lambda: call.session.user_state == "speaking", "speech")
        call.caller.say(PAUSE, REST)
        await call.until(lambda: call.session.user_state == "listening", "the end of speech")
        call.session.commit_user_turn()
        await call.turn_over()
        call.assert_answered("Thank you.")
        call.caller.say(LEAD, MORE_WORDS, PAUSE, REST)
        await call.until(lambda: "A story." in call.interim + call.final, "the words")
        call.session.clear_user_turn()
        await call.gateway.arrived("transcribe_stream", count=2)


async def drop_in_the_first_word(connection: RecognitionConnection) -> None:
    """An engine that loses its connection."""
    async for frame in connection.incoming():
        if any(frame.pcm):
            await connection.send(Interim("Th"))
            connection.drop()


@pytest.mark.parametrize("eager", EAGER)
async def test_drop_in_a_word_costs_none(voice_detector: vad.VAD, eager: bool) -> None:
    script = [StreamedTranscript(drop_in_the_first_word)]
    texts = Stretches(("Thank you.", "A story."))
    async with streaming_calling(voice_detector, texts, eager=eager, script=script) as call:
        call.caller.say(LEAD, WORDS, HESITATION, MORE_WORDS, PAUSE, REST)
        await call.turn_over()
        call.assert_answered("Thank you. A story.")


@pytest.mark.parametrize("eager", EAGER)
async def test_caller_who_interrupts_has_a_reply(voice_detector: vad.VAD, eager: bool) -> None:
    texts = Stretches(("Thank you.", "A story."))
    async with streaming_calling(voice_detector, texts, eager=eager, ear=PatientEar()) as call:
        call.caller.say(LEAD, WORDS, PAUSE, REST)
        await call.until(lambda: call.session.agent_state == "speaking", "the reply")
        call.caller.say(MORE_WORDS, PAUSE, REST)
        await call.until(lambda: len(call.history) >= 4, "the second turn")
        assert call.final == call.asked() == ["Thank you.", "A story."]


@pytest.mark.parametrize("eager", EAGER)
async def test_fallback_adapter_takes_over_from_a_service_that_is_down(
    voice_detector: vad.VAD, eager: bool
) -> None:
    async with LocalGateway() as gone:
        base_url = gone.base_url
    async with Speko(base_url=base_url, api_key="sk-nowhere") as client:
        broken = SpekoSTT(speko=client, intent={"language": "en"}, streaming=True)

        def wrap(used: stt.STT[Any]) -> stt.STT[Any]:
            return stt.FallbackAdapter([broken, used], attempt_timeout=0.3)

        texts = Stretches(("Thank you.",))
        async with streaming_calling(voice_detector, texts, eager=eager, wrap=wrap) as call:
            await call.gateway.arrived("transcribe_stream")
            call.caller.say(LEAD, WORDS, PAUSE, REST)
            await call.turn_over()
            call.assert_answered("Thank you.")
            await call.session.aclose()
            adapter = call.session.stt
            assert adapter is not None
            await adapter.aclose()


@pytest.mark.parametrize("eager", EAGER)
@pytest.mark.parametrize("state", ["connecting", "silent", "in a word", "in a pause", "at the end"])
async def test_session_closes_in_any_state(
    voice_detector: vad.VAD, eager: bool, state: str
) -> None:
    texts = Stretches(("Thank you.",), obeys_flush=False)
    async with streaming_calling(voice_detector, texts, eager=eager) as call:
        if state == "connecting":
            return
        await call.gateway.transcribe_stream.connected()
        if state == "silent":
            return
        call.caller.say(LEAD, WORDS)
        await call.interims(1)
        if state == "in a word":
            return
        connection = call.gateway.transcribe_stream.connections[0]
        call.caller.say(PAUSE)
        await connection.arrived("flush")
        if state == "at the end":
            await call.until(lambda: call.session.user_state == "listening", "the end")


@pytest.mark.parametrize("eager", EAGER)
async def test_usage_of_a_session_is_the_audio_sent(voice_detector: vad.VAD, eager: bool) -> None:
    collected: list[STTMetrics] = []
    async with streaming_calling(voice_detector, Stretches(("Thank you.",)), eager=eager) as call:
        recognizer = call.session.stt
        assert recognizer is not None
        recognizer.on("metrics_collected", collected.append)
        call.caller.say(LEAD, WORDS, PAUSE, REST)
        await call.turn_over()
        await call.session.aclose()
        (connection,) = call.gateway.transcribe_stream.connections
        await connection.closed()
        sent_s = connection.audio_bytes / connection.bytes_per_second
        assert collected
        assert sum(each.audio_duration for each in collected) == pytest.approx(sent_s, abs=0.1)
