"""A whole agent on the official SDK's client, whose handle a test scripts.

The SDK connects to the providers' own hosts alone, so its sockets can't be tested here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from livekit.agents import AgentSession
from spekoai import AsyncSpeko
from spekoai.models import RealtimeConnectParams

from livekit_plugins_speko import SpekoRealtimeModel
from livekit_plugins_speko.testing._gateway.waiting import Changes, within
from tests.helpers.realtime_calls import (
    INSTRUCTIONS,
    QUICK,
    RATE,
    WITHIN_S,
    Microphone,
    Speaker,
    clock,
    speech,
)


class Handle:
    """A handle of ``connect_realtime``: gives the frames that a test puts, and keeps what comes."""

    session_id, expires_at = "s1", "2100-01-01T00:00:00Z"
    input_sample_rate = output_sample_rate = RATE

    def __init__(self, changes: Changes) -> None:
        self.frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.calls: list[tuple[Any, ...]] = []
        self._changes = changes

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        while True:
            frame = await self.frames.get()
            yield frame
            if frame["type"] == "close":
                return

    async def send_audio(self, pcm: bytes) -> None:
        self._note("send_audio", len(pcm))

    async def commit(self) -> None:
        self._note("commit")

    async def interrupt(self) -> None:
        self._note("interrupt")

    async def send_tool_result(self, call_id: str, output: str) -> None:
        self._note("send_tool_result", call_id, output)

    async def close(self, code: int = 1000, reason: str = "client_closed") -> None:
        self._note("close", code, reason)

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        self._changes.notify()


class ScriptedSpeko(AsyncSpeko):
    """The SDK's client, with scripted handles."""

    def __init__(self, changes: Changes) -> None:
        super().__init__(api_key="key")
        self.handles: list[Handle] = []
        self.params: list[RealtimeConnectParams] = []
        self._changes = changes

    async def connect_realtime(self, params: Any) -> Any:
        self.params.append(RealtimeConnectParams.model_validate(params))
        self.handles.append(Handle(self._changes))
        self._changes.notify()
        return self.handles[-1]


def _said(role: str, text: str, final: bool) -> dict[str, Any]:
    return {"type": "transcript", "role": role, "text": text, "final": final}


async def test_agent_on_the_sdks_client_holds_a_conversation() -> None:
    changes = Changes()
    client = ScriptedSpeko(changes)
    async with client:
        model = SpekoRealtimeModel(
            speko=client, provider="openai", model="voice-1", conn_options=QUICK
        )
        session = AgentSession[None](llm=model, aec_warmup_duration=None)
        microphone, speaker = Microphone(), Speaker()
        session.input.audio, session.output.audio = microphone, speaker
        session.on("conversation_item_added", lambda _: changes.notify())
        session.on("close", lambda _: changes.notify())
        closed: list[Any] = []
        session.on("close", closed.append)
        await session.start(agent=clock())
        await within(changes.until(lambda: bool(client.handles)), WITHIN_S, "the connection")
        [handle], [params] = client.handles, client.params
        assert (params.provider, params.model) == ("openai", "voice-1")
        assert params.system_prompt == INSTRUCTIONS
        assert [tool.name for tool in params.tools or []] == ["get_time"]

        microphone.push(speech(0.04))
        for frame in (
            {"type": "interruption", "at": "user"},
            _said("user", "What ", False),
            _said("user", "time?", False),
            _said("user", "What time?", True),
            {"type": "tool_call", "call_id": "c1", "name": "get_time", "arguments": "{}"},
        ):
            handle.frames.put_nowait(frame)
        result = ("send_tool_result", "c1", "noon")
        await within(changes.until(lambda: result in handle.calls), WITHIN_S, "the result")
        for frame in (
            {"type": "audio", "pcm": speech(0.2), "sample_rate": RATE},
            _said("assistant", "It is noon.", True),
            {"type": "usage", "input_audio_tokens": 1, "output_audio_tokens": 2},
        ):
            handle.frames.put_nowait(frame)
        lines = [("user", "What time?"), ("assistant", "It is noon.")]
        await within(changes.until(lambda: _lines(session) == lines), WITHIN_S, "the reply")
        assert speaker.played == speech(0.2)
        assert ("send_audio", 960) in handle.calls

        handle.frames.put_nowait({"type": "close", "reason": "done"})
        await within(changes.until(lambda: bool(closed)), WITHIN_S, "the session's end")
        assert "done" in str(closed[0].error.error)
        assert ("close", 1000, "client_closed") in handle.calls
        await model.aclose()


def _lines(session: AgentSession[None]) -> list[tuple[str, str]]:
    return [(each.role, each.text_content or "") for each in session.history.messages()]
