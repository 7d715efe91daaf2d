"""The small voice model of the demo, on the gateway's sockets."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from livekit.agents import vad
from yarl import URL

from examples.engines import Recogniser, SpeechToSpeech, Voice
from examples.engines.caller_words import CallerWords
from examples.engines.rules import GREETING, STORY
from livekit_plugins_speko import Speko, parse_wav
from livekit_plugins_speko.api.realtime_connection import RealtimeConnection
from livekit_plugins_speko.api.realtime_credentials import ProxyCredentials
from livekit_plugins_speko.api.realtime_events import (
    Audio,
    Interruption,
    RealtimeEvent,
    ToolCall,
    Transcript,
    Usage,
)
from livekit_plugins_speko.testing import LocalGateway, RealtimeScript
from livekit_plugins_speko.testing import RealtimeConnection as ServedConnection
from tests.helpers.support import FIXTURES

TEXTS: dict[str, str] = json.loads((FIXTURES / "fixtures.json").read_text())
RATE_HZ = 16_000
# What ends a turn: more than the VAD waits for.
SILENCE = bytes(2 * RATE_HZ)
GET_TIME: dict[str, Any] = {
    "name": "get_local_time",
    "description": "Tell the current local time in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture
def model(
    gateway: LocalGateway, recogniser: Recogniser, voice: Voice, voice_detector: vad.VAD
) -> None:
    gateway.realtime.always(RealtimeScript(SpeechToSpeech(recogniser, voice, voice_detector)))


def pcm(name: str) -> bytes:
    return parse_wav((FIXTURES / f"{name}.wav").read_bytes()).samples.astype("<i2").tobytes()


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


class Client:
    """A client of the model that keeps what came."""

    def __init__(self, connection: RealtimeConnection) -> None:
        self.connection = connection
        self.events: list[RealtimeEvent] = []

    async def say(self, name: str, *, silence: bytes = SILENCE) -> None:
        """Say a fixture, all at once."""
        await self.connection.send_audio(pcm(name) + silence)

    async def until(self, happened: Callable[[RealtimeEvent], bool]) -> RealtimeEvent:
        """Take events up to one."""
        async for event in self.connection:
            self.events.append(event)
            if happened(event):
                return event
        raise AssertionError(f"closed after {self.events}")

    async def until_end(self) -> None:
        """Take events up to a reply's end."""
        await self.until(lambda event: isinstance(event, Usage))

    def said_by(self, role: str) -> list[Transcript]:
        return [each for each in self.events if isinstance(each, Transcript) and each.role == role]

    @property
    def audio_s(self) -> float:
        audio = [each for each in self.events if isinstance(each, Audio)]
        return sum(len(each.pcm) / 2 / each.sample_rate for each in audio)


async def connect(speko: Speko, provider: str = "inworld", **options: Any) -> Client:
    return Client(
        await speko.realtime.connect(
            provider=provider,
            model="voice-1",
            input_sample_rate=RATE_HZ,
            output_sample_rate=24_000,
            **options,
        )
    )


pytestmark = pytest.mark.usefixtures("model")


async def test_caller_is_understood_and_replied_to(speko: Speko) -> None:
    client = await connect(speko)
    async with client.connection:
        await client.say("question")
        await client.until_end()
    *partial, final = client.said_by("user")
    assert final.final and words(final.text) == words(TEXTS["question"])
    assert all(final.text.startswith(each.text) and not each.final for each in partial)
    reply = client.said_by("assistant")[-1]
    assert reply.final and reply.text == "I am the demo assistant, made of a few rules."
    assert 2 < client.audio_s < 6
    usage = client.events[-1]
    assert isinstance(usage, Usage)
    assert usage.output_audio_tokens == pytest.approx(20 * client.audio_s, abs=1)
    assert 10 < usage.input_audio_tokens < 40


async def test_words_come_while_the_caller_speaks(speko: Speko) -> None:
    client = await connect(speko)
    async with client.connection:
        await client.say("story", silence=b"")
        first = await client.until(lambda event: isinstance(event, Transcript))
        assert isinstance(first, Transcript)
        assert not first.final and set(words(first.text)) & {"please", "tell", "story"}


async def test_tool_is_called_and_its_result_is_told(speko: Speko) -> None:
    client = await connect(speko, tools=[GET_TIME])
    async with client.connection:
        await client.say("time")
        call = await client.until(lambda event: isinstance(event, ToolCall))
        assert isinstance(call, ToolCall)
        assert (call.name, json.loads(call.arguments)) == ("get_local_time", {"city": "Tokyo"})
        await client.until_end()
        assert not client.said_by("assistant")
        await client.connection.send_tool_result(call.call_id, "12:30 in Tokyo")
        await client.until_end()
    assert client.said_by("assistant")[-1].text == "12:30 in Tokyo."
    assert client.audio_s > 1


async def test_caller_who_speaks_cuts_the_reply(speko: Speko) -> None:
    client = await connect(speko)
    async with client.connection:
        await client.say("story")
        await client.until(lambda event: isinstance(event, Audio))
        said = len(client.events)
        await client.say("barge_in")
        await client.until(lambda event: isinstance(event, Interruption))
        cut = client.said_by("assistant")
        assert STORY.startswith(cut[-1].text) and not cut[-1].final
        await client.until_end()
        await client.until_end()
        (heard,) = [each.text for each in client.said_by("user") if each.final][1:]
        assert words(heard) == words(TEXTS["barge_in"])
        assert len([each for each in client.events[said:] if isinstance(each, Usage)]) == 2
        assert "nine to five" in client.said_by("assistant")[-1].text


async def test_client_s_interrupt_cuts_the_reply(speko: Speko) -> None:
    client = await connect(speko)
    async with client.connection:
        await client.say("story")
        await client.until(lambda event: isinstance(event, Audio))
        await client.connection.interrupt()
        await client.until_end()
    assert not client.said_by("assistant")[-1].final


async def test_commit_ends_the_turn_without_silence(speko: Speko) -> None:
    client = await connect(speko)
    async with client.connection:
        await client.say("goodbye", silence=b"")
        await client.until(lambda event: isinstance(event, Transcript))
        await client.connection.commit()
        await client.until_end()
    assert client.said_by("assistant")[-1].text == "You are welcome. Goodbye!"


async def test_history_in_the_prompt_is_known(speko: Speko) -> None:
    prompt = "Be kind.\n\nSaid so far:\nYou: Hello.\nCaller: Are you open?\nYou: We are."
    client = await connect(speko, "xai", system_prompt=prompt)
    async with client.connection:
        await client.connection.send_text("What did I ask you before?")
        await client.until_end()
    assert client.said_by("assistant")[-1].text == "You asked me: Are you open?"


@pytest.mark.parametrize("provider", ["xai", "google"])
async def test_forms_with_text_are_served(speko: Speko, provider: str) -> None:
    client = await connect(speko, provider)
    async with client.connection:
        await client.connection.send_text("Hello!")
        await client.until_end()
    assert "".join(each.text for each in client.said_by("assistant") if each.final) == GREETING
    assert client.audio_s > 1


async def test_silence_has_no_reply(speko: Speko, gateway: LocalGateway) -> None:
    client = await connect(speko)
    async with client.connection:
        await client.connection.send_audio(SILENCE)
        await client.say("goodbye")
        await client.until_end()
    assert len([each for each in client.events if isinstance(each, Interruption)]) == 1
    assert await (await gateway.realtime.connected()).closed() == 1000


async def test_client_that_is_gone_right_after_its_close_leaves_no_task(
    gateway: LocalGateway, speko: Speko
) -> None:
    for _ in range(10):
        credentials = await speko.realtime.mint(intent={"language": "en"})
        assert isinstance(credentials, ProxyCredentials)
        url = URL(credentials.ws_url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(
            f"GET {url.path} HTTP/1.1\r\nHost: {url.authority}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
            f"Sec-WebSocket-Protocol: {credentials.ws_token}\r\n\r\n".encode()
        )
        await reader.readuntil(b'"ready"')
        # A second of audio and a close with 1000, both masked with zeros.
        writer.write(b"\x82\xfe" + (48_000).to_bytes(2, "big") + bytes(4 + 48_000))
        writer.write(b"\x88\x82\0\0\0\0" + (1000).to_bytes(2, "big"))
        await reader.readuntil(b"\x88")
        writer.transport.abort()
    await gateway.idle(connections=1)
    assert {each.close_code for each in gateway.realtime.connections} == {1000}


async def test_word_that_was_sent_is_never_taken_back(gateway: LocalGateway, speko: Speko) -> None:
    async def unsteady(connection: ServedConnection) -> None:
        words = CallerWords(connection)
        for text in ("I said", "I said a red house", "He said a blue house", "He said a blue tent"):
            await words.send_partial(text)
        assert await words.send_final("He said a big blue tent.") == "I said a big blue tent."

    gateway.realtime.always(RealtimeScript(unsteady))
    client = await connect(speko)
    async with client.connection:
        await client.until(lambda event: isinstance(event, Transcript) and event.final)
    assert [each.text for each in client.said_by("user")] == ["I said a", "I said a big blue tent."]
