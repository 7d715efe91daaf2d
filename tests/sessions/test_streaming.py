"""Whole sessions whose recognition streams: the words, the requests and the replies of a turn."""

from __future__ import annotations

import pytest
from livekit.agents import vad

from tests.helpers.eager_sessions import HESITATION, LEAD, MORE_WORDS, PAUSE, REST, WORDS
from tests.helpers.streaming_sessions import Stretches, streaming_calling

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
        assert call.final == ["Thank you."]
        assert call.asked() == ["Thank you."]
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
