"""The parts of a session put together, and one turn with them."""

from __future__ import annotations

from typing import Any

from livekit.agents import tts, vad

from livekit_plugins_speko import SpekoComponents, create_speko_components
from livekit_plugins_speko.testing import GatewayRequest, LocalGateway, Reply, Speech, Transcript
from tests.helpers.support import NO_RETRY, conversation, frame, tone

INTENT = {"language": "en-US", "region": "global", "optimizeFor": "latency"}
SPEECH = frame(tone(rate=16_000))


def make(speko: Any, voice_detector: vad.VAD, **options: Any) -> SpekoComponents:
    return create_speko_components(
        **{"speko": speko, "vad": voice_detector, "intent": INTENT, **options}
    )


async def say(components: SpekoComponents, text: str = "Hi.") -> list[tts.SynthesizedAudio]:
    """The audio of a text, through the sentence tokenizer."""
    async with components.tts.stream(conn_options=NO_RETRY) as stream:
        stream.push_text(text)
        stream.end_input()
        return [audio async for audio in stream]


async def think(components: SpekoComponents) -> None:
    stream = components.llm.chat(chat_ctx=conversation(), conn_options=NO_RETRY)
    async with stream:
        assert [chunk async for chunk in stream]


async def take_a_turn(gateway: LocalGateway, components: SpekoComponents) -> list[GatewayRequest]:
    """The requests of one turn: transcribe, complete, synthesize."""
    began = len(gateway.requests)
    gateway.transcribe.script(Transcript("hello"))
    gateway.complete.script(Reply("Hi."))
    gateway.synthesize.script(Speech(tone()))
    await components.stt.wrapped_stt.recognize(SPEECH, conn_options=NO_RETRY)
    await think(components)
    await say(components)
    return [r for r in gateway.requests[began:] if r.route != "tools"]
