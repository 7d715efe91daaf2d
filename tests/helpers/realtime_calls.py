"""Whole sessions with a scripted voice model, whose every frame a test sends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool, llm
from livekit.agents.types import APIConnectOptions
from livekit.agents.voice import io
from livekit.agents.voice.transcription.synchronizer import TranscriptSynchronizer

from livekit_plugins_speko import RouteEvent, Speko, SpekoRealtimeModel
from livekit_plugins_speko.testing._gateway.waiting import Changes, within
from tests.helpers.realtime_frames import encoded
from tests.helpers.realtime_server import Peer, RealtimeServer
from tests.helpers.support import frame, tone

WITHIN_S = 15.0  # to tell a hang from a slow machine
LOOK_EVERY_S = 0.01  # at what no change tells of
ENDS_WITHIN_S = 10.0  # a reply's end, after any fault
QUICK = APIConnectOptions(max_retry=2, retry_interval=0.05, timeout=5.0)
INSTRUCTIONS = "You are a concierge."
RATE = 24_000


class Line:
    """The other side of every socket: what came, and what a test sends."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        # Messages and seconds of audio of the latest socket.
        self.messages: list[dict[str, Any]] = []
        self.audio = bytearray()
        self.changes = Changes()
        # True once the client knows that its latest connection is ready.
        self.is_client_ready: Callable[[], bool] = lambda: True

    async def serve(self, peer: Peer) -> None:
        """Be ready, and keep what comes."""
        await peer.ready()
        self.peers.append(peer)
        self.messages, self.audio = [], bytearray()
        self.changes.notify()
        async for message in peer.ws:
            if isinstance(message.data, bytes):
                self.audio += message.data
            else:
                self.messages.append(message.json())
            self.changes.notify()

    async def until(self, condition: Callable[[], bool], what: str = "a change") -> None:
        """Wait for something that a change tells of, or that no change tells of."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle

        def look_again() -> None:
            nonlocal timer
            self.changes.notify()
            timer = loop.call_later(LOOK_EVERY_S, look_again)

        timer = loop.call_later(LOOK_EVERY_S, look_again)
        try:
            await within(self.changes.until(condition), WITHIN_S, what)
        finally:
            timer.cancel()

    async def connected(self, times: int = 1) -> None:
        """Wait until so many connections were made, and the client may use the latest."""

        def is_ready() -> bool:
            return len(self.peers) >= times and self.is_client_ready()

        await self.until(is_ready, f"connection {times}")

    async def say(self, *frames: dict[str, Any] | bytes) -> None:
        await self.peers[-1].say(*frames)

    async def close(self, code: int, reason: str = "") -> None:
        await self.peers[-1].ws.close(code=code, message=reason.encode())

    def drop(self) -> None:
        """Cut the latest connection without a close frame."""
        transport = self.peers[-1].ws._req.transport  # type: ignore[union-attr]
        assert transport is not None
        transport.abort()

    async def until_message(self, kind: str, times: int = 1) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [each for each in self.messages if kind in (each.get("t"), each.get("type"))]

        await self.until(lambda: len(found()) >= times, f"{kind} {times}")
        return found()[times - 1]


class Speaker(io.AudioOutput):
    """A loudspeaker that plays in real time, and knows what it has played."""

    def __init__(self) -> None:
        super().__init__(label="Speaker", capabilities=io.AudioOutputCapabilities(pause=False))
        # Audio that was played of segments that are over.
        self._played = bytearray()
        self._segment = bytearray()
        self._began_at: float | None = None
        self._end: asyncio.TimerHandle | None = None

    @property
    def played(self) -> bytes:
        return bytes(self._played) + bytes(self._segment[: self._position])

    @property
    def is_silent(self) -> bool:
        return self._position == len(self._segment)

    @property
    def _position(self) -> int:
        if self._began_at is None:
            return 0
        return min(len(self._segment), int((time.monotonic() - self._began_at) * RATE) * 2)

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if self._began_at is None:
            self._began_at = time.monotonic()
            self.on_playback_started(created_at=time.time())
        self._segment += frame.data.cast("b")

    def flush(self) -> None:
        super().flush()
        if self._began_at is not None and self._end is None:
            left_s = (len(self._segment) - self._position) / 2 / RATE
            self._end = asyncio.get_running_loop().call_later(left_s, self._finish, False)

    def clear_buffer(self) -> None:
        if self._began_at is not None:
            self._finish(True)

    def _finish(self, interrupted: bool) -> None:
        if self._end is not None:
            self._end.cancel()
        position = self._position if interrupted else len(self._segment)
        self._played += self._segment[:position]
        self._segment.clear()
        self._began_at = self._end = None
        self.on_playback_finished(playback_position=position / 2 / RATE, interrupted=interrupted)


class Microphone(io.AudioInput):
    """A microphone that gives what a test pushes."""

    def __init__(self) -> None:
        super().__init__(label="Microphone")
        self._frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()

    def push(self, pcm: bytes, rate: int = RATE) -> None:
        self._frames.put_nowait(frame(pcm, rate=rate))

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.get()


class RealtimeCall:
    """A session with a voice model, and all that it reports."""

    def __init__(
        self, session: AgentSession[None], model: SpekoRealtimeModel, server: RealtimeServer
    ) -> None:
        self.session, self.model, self.server = session, model, server
        self.line = Line()
        self.microphone, self.speaker = Microphone(), Speaker()
        self.lines: list[Any] = []
        self.errors: list[Any] = []
        self.closed: list[Any] = []
        self.metrics: list[Any] = []
        self.routes: list[RouteEvent] = []
        self.states: list[str] = []
        self.user_states: list[str] = []
        self.tools_run: list[Any] = []
        for name, into in (
            ("user_input_transcribed", self.lines),
            ("error", self.errors),
            ("close", self.closed),
            ("metrics_collected", self.metrics),
            ("function_tools_executed", self.tools_run),
        ):
            session.on(name, self._noting(into))  # type: ignore[arg-type]
        session.on("agent_state_changed", self._note_state)
        session.on("user_state_changed", self._note_user_state)
        session.on("conversation_item_added", lambda event: self.line.changes.notify())
        model.on("route", self._noting(self.routes))

    def _noting(self, into: list[Any]) -> Callable[[Any], None]:
        def note(event: Any) -> None:
            into.append(event)
            self.line.changes.notify()

        return note

    def _note_state(self, event: Any) -> None:
        self.states.append(event.new_state)
        self.line.changes.notify()

    def _note_user_state(self, event: Any) -> None:
        self.user_states.append(event.new_state)
        self.line.changes.notify()

    @property
    def history(self) -> list[tuple[str, str]]:
        return [(each.role, each.text_content or "") for each in self.session.history.messages()]

    @property
    def finals(self) -> list[str]:
        return [each.transcript for each in self.lines if each.is_final]

    @property
    def prompt(self) -> str:
        """The system prompt of the latest session of the service."""
        body, _ = self.server.requests[-1]
        prompt: str = body["s2s"].get("systemPrompt", "")
        return prompt

    @property
    def realtime(self) -> llm.RealtimeSession[Any]:
        activity = self.session._activity
        assert activity is not None and activity.realtime_llm_session is not None
        return activity.realtime_llm_session

    @property
    def is_connected(self) -> bool:
        """True while the session may use a connection."""
        return any(each._upstream._link.connection is not None for each in self.model._sessions)

    async def until(self, condition: Callable[[], bool], what: str = "a change") -> None:
        await self.line.until(condition, what)

    async def until_state(self, state: str) -> None:
        await self.until(lambda: self.session.agent_state == state, f"state {state}")

    async def reply(self, text: str, seconds: float = 0.2, *, question: str = "") -> None:
        """Have the caller ask and the model reply, and wait until that was played."""
        if question:
            await self.line.say(user(question))
        await self.line.say(speech(seconds), agent(text), USAGE)
        await self.until(lambda: self.history[-1:] == [("assistant", text)], text)
        await self.until_state("listening")

    async def ends(self) -> None:
        """Wait until the agent listens or the session is closed: at most 10 s."""

        def over() -> bool:
            return bool(self.closed) or self.session.agent_state == "listening"

        await within(self.line.changes.until(over), ENDS_WITHIN_S, "the reply's end")


USAGE = {"t": "usage", "inputAudioTokens": 7, "outputAudioTokens": 11}
INTERRUPTION = {"t": "interruption", "at": "user"}


def user(text: str, final: bool = True) -> dict[str, Any]:
    return {"t": "transcript", "role": "user", "text": text, "final": final}


def agent(text: str, final: bool = True) -> dict[str, Any]:
    return {"t": "transcript", "role": "assistant", "text": text, "final": final}


def tool_call(call_id: str = "c1", name: str = "get_time", arguments: str = "{}") -> dict[str, Any]:
    return {"t": "tool_call", "callId": call_id, "name": name, "arguments": arguments}


def speech(seconds: float = 0.2, hz: float = 440) -> bytes:
    return tone(seconds, rate=RATE, hz=hz)


def clock(result: Callable[[], Any] | None = None) -> Agent:
    """An agent with a tool that says the time, or gives what `result` returns or raises."""

    @function_tool
    async def get_time() -> Any:
        """Say the time."""
        value = "noon" if result is None else result()
        return await value if isinstance(value, Awaitable) else value

    return Agent(instructions=INSTRUCTIONS, tools=[get_time])


def google_audio(pcm: bytes, rate: int = RATE) -> dict[str, Any]:
    data = {"mimeType": f"audio/pcm;rate={rate}", "data": encoded(pcm)}
    return {"serverContent": {"modelTurn": {"parts": [{"inlineData": data}]}}}


def google_words(text: str) -> dict[str, Any]:
    return {"serverContent": {"outputTranscription": {"text": text}}}


def xai_audio(pcm: bytes, response: str = "r1") -> dict[str, Any]:
    return {
        "type": "response.output_audio.delta",
        "response_id": response,
        "delta": encoded(pcm),
    }


@asynccontextmanager
async def calling(
    *,
    form: str = "proxy",
    agent: Agent | None = None,
    changes: dict[str, Any] | None = None,
    connected: bool = True,
    responses: list[Any] | None = None,
    wrap: Callable[[SpekoRealtimeModel], llm.RealtimeModel] | None = None,
    synchronized: bool = False,
    build_session: Callable[[Speko], AgentSession[None]] | None = None,
    **options: Any,
) -> AsyncIterator[RealtimeCall]:
    """A session with a voice model, connected."""
    server = RealtimeServer(form, **(changes or {}))
    server.responses = responses or []
    async with server, server.client() as speko:
        if build_session is not None:
            session = build_session(speko)
            assert isinstance(session.llm, SpekoRealtimeModel)
            model = session.llm
        else:
            model = SpekoRealtimeModel(**{"speko": speko, "conn_options": QUICK, **options})
            session = AgentSession[None](
                llm=model if wrap is None else wrap(model), aec_warmup_duration=None
            )
        call = RealtimeCall(session, model, server)
        if wrap is None:
            call.line.is_client_ready = lambda: call.is_connected
        server.scripts = (call.line.serve,)
        session.input.audio, session.output.audio = call.microphone, call.speaker
        if synchronized:  # as in a room
            synchronizer = TranscriptSynchronizer(
                next_in_chain_audio=call.speaker, next_in_chain_text=None
            )
            session.output.audio = synchronizer.audio_output
            session.output.transcription = synchronizer.text_output
        await session.start(agent=agent or Agent(instructions=INSTRUCTIONS))
        try:
            if connected:
                await call.line.connected()
            yield call
        finally:
            await session.aclose()
            await model.aclose()
            if synchronized:
                await synchronizer.aclose()
