"""A tool that runs inside the service: the words before it are spoken while it runs."""

from __future__ import annotations

from livekit.agents import vad

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import Gate, LocalGateway, Reply, ServerToolCall, Transcript
from tests.helpers.tts_calls import speech
from tests.sessions.test_session import QUESTION, calling

SAID = ["One moment, I will look that up for you.", "It is in stock."]


async def test_words_before_the_tool_are_spoken_while_it_runs(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    tool_runs = Gate()
    reply: list[str | ServerToolCall | Gate] = [
        "One moment,",
        " I will look",
        " that up for you.",
        ServerToolCall("stock"),
        tool_runs,
        "It is",
        " in stock.",
    ]
    gateway.transcribe.script(Transcript("Is it in stock?"))
    gateway.complete.script(Reply(reply))
    gateway.synthesize.always(speech())
    async with calling(speko, voice_detector) as call:
        said = await call.line.say(QUESTION)
        spoken = await gateway.arrived("synthesize")
        assert spoken.json["text"] == SAID[0]
        tool_runs.open()
        await gateway.arrived("synthesize", count=2)
        await call.reply_heard(said.started_s)
        assert call.said("assistant") == [
            "One moment, I will look that up for you. It is in stock."
        ]
        assert call.errors == []
    texts = [request.json["text"] for request in gateway.requests_to("synthesize")]
    assert texts == SAID
