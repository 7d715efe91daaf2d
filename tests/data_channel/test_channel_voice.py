"""`SpekoDataChannel` in spoken sessions: barge-in by a message, late voices, transcripts."""

from __future__ import annotations

import pytest
from livekit.agents import AgentSession, tts, vad

from livekit_plugins_speko import Speko, SpekoLLM, SpekoTTS
from livekit_plugins_speko.data_channel.late_overrides import apply_overrides
from livekit_plugins_speko.data_channel.packets import Overrides
from livekit_plugins_speko.testing import LocalGateway, Reply, Speech
from tests.data_channel.sessions import make_channel
from tests.helpers.fake_room import FakeRoom, overrides, user_message
from tests.helpers.session_calls import calling
from tests.helpers.session_line import spoken
from tests.helpers.support import tone


async def test_voice_speed_and_language_that_come_late_change_the_next_calls(
    voice_detector: vad.VAD,
) -> None:
    async with calling(voice_detector, voice="sophia") as call:
        room = FakeRoom()
        channel = make_channel(room, allow_overrides=["voice", "speed", "language"])
        channel.start(call.session)
        await call.take_a_turn("before")
        room.send(overrides(language="es", tts={"voiceId": "max", "speed": 1.5}))
        await call.until(lambda: not channel._waiting, "the overrides")
        await call.take_a_turn("after")
        first, last = (call.gateway.requests_to("synthesize")[at].json for at in (0, -1))
        assert (first["voice"], first["intent"]) == ("sophia", {"language": "en"})
        assert (last["voice"], last["speed"]) == ("max", 1.5)
        for route in ("synthesize", "complete"):
            assert call.gateway.requests_to(route)[-1].json["intent"] == {"language": "es"}
        await channel.aclose()


async def test_late_voice_reaches_a_tts_in_livekits_own_adapter(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.synthesize.script(Speech(tone(0.1)))
    spoken_by = SpekoTTS(speko=speko, intent={"language": "en"}, voice="sophia")
    session = AgentSession[None](tts=tts.StreamAdapter(tts=spoken_by))
    await apply_overrides(Overrides(voice="max", language="es"), session, None)
    await spoken_by.synthesize("Hello.").collect()
    (request,) = gateway.requests_to("synthesize")
    assert (request.json["voice"], request.json["intent"]) == ("max", {"language": "es"})
    await spoken_by.aclose()


async def test_late_voice_is_told_of_where_livekit_hides_the_tts(
    speko: Speko, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = tts.StreamAdapter(tts=SpekoTTS(speko=speko, intent={"language": "en"}))
    model = SpekoLLM(speko=speko, intent={"language": "en"})
    session = AgentSession[None](tts=adapter, llm=model)
    del adapter._wrapped_tts
    await apply_overrides(Overrides(voice="max", language="es"), session, None)
    assert model.intent.language == "es"
    (record,) = (each for each in caplog.records if "do not reach" in each.message)
    assert "StreamAdapter._wrapped_tts" in record.__dict__["missing"]


async def test_older_client_gets_what_the_caller_said(voice_detector: vad.VAD) -> None:
    async with calling(voice_detector) as call:
        room = FakeRoom()
        channel = make_channel(room, transcripts=True)
        channel.start(call.session)
        await call.take_a_turn("a question")
        while len(room.published) < 2:
            room.local_participant.came.clear()
            await room.local_participant.came.wait()
        (question, answer) = (packet for packet, _, _ in room.published)
        assert (question["type"], question["source"], question["isFinal"]) == (
            *("transcript", "user", True),
        )
        assert [("user", question["text"]), ("assistant", answer["text"])] == call.history
        assert (answer["type"], answer["isFinal"]) == ("agent_message", True)
        await channel.aclose()


async def test_typed_message_joins_a_spoken_conversation(voice_detector: vad.VAD) -> None:
    async with calling(voice_detector) as call:
        room = FakeRoom()
        channel = make_channel(room)
        channel.start(call.session)
        await call.take_a_turn("words")
        call.gateway.complete.script(Reply("Around the clock."))
        room.send(user_message())
        await call.turn_over("typed")
        call.told += [("user", "Are you open?"), ("assistant", "Around the clock.")]
        assert call.history == call.told
        assert call.ear.take() == spoken("Around the clock.")
        await channel.aclose()
