"""Whole sessions with a voice model, each between a microphone and a loudspeaker in real time."""

from __future__ import annotations

import asyncio
import logging
import math
import struct
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from livekit import rtc
from livekit.agents import Agent, AgentSession, llm
from livekit.agents.voice import io
from livekit.plugins import openai

from benchmarks.common.gateway import API_KEY
from benchmarks.common.silent_model import SilentModel
from benchmarks.common.upstream import noise
from livekit_plugins_speko import Speko, SpekoRealtimeModel

RATE_HZ = 24_000
# A room hands its audio over in frames of this length, and at that rate.
FRAME_MS = 50
FRAME_BYTES = RATE_HZ * FRAME_MS // 1000 * 2
SILENCE, SPEECH = bytes(FRAME_BYTES), noise()[:FRAME_BYTES]
# What the gateway's voice model writes at once, beginning with the time of the write.
PIECE_MS = 100
PIECE_BYTES = RATE_HZ * PIECE_MS // 1000 * 2
STAMP = struct.Struct("<d")
# Where an utterance may end within two frames.
PLACES = 8


@dataclass(frozen=True)
class Script:
    """What the caller says in one conversation.

    Attributes:
        seconds: Its length.
        speech: Beginning and end of each utterance, in seconds. It begins with a frame.
    """

    seconds: float
    speech: tuple[tuple[float, float], ...]

    def pcm(self, frame: int) -> bytes:
        """Return the audio of a frame."""
        at_ms = frame * FRAME_MS
        for began_s, ended_s in self.speech:
            if 1e3 * began_s <= at_ms < 1e3 * ended_s:
                loud = SPEECH[: 2 * round(RATE_HZ * (ended_s - at_ms / 1e3))]
                return loud.ljust(FRAME_BYTES, b"\0")
        return SILENCE


def delivered_after(audio_s: float) -> float:
    """Return when the frame with a place in the caller's audio is complete, in seconds."""
    return math.ceil(1e3 * audio_s / FRAME_MS - 1e-6) * FRAME_MS / 1e3


def script_of(session: int) -> Script:
    """Build a session's script: a question whose answer is interrupted, and an answer to that.

    The utterances' last sounds are at all places of two frames, as callers' are.
    """
    ends = (((2 * session + turn) % PLACES + 0.5) * 0.1 / PLACES for turn in range(2))
    return Script(5.8, ((0.2, 1.1 + next(ends)), (2.5, 3.2 + next(ends))))


class Microphone(io.AudioInput):
    """Delivers each frame when the last of its samples was spoken, as a microphone does.

    All frames are timed by one clock: a late one delays none after it.
    """

    def __init__(self) -> None:
        super().__init__(label="Microphone")
        # When the first frame began; None before it was read.
        self.began_s: float | None = None
        # Frames delivered so far.
        self._frames = 0
        # What the caller says, and the number of its first frame.
        self._script, self._first = Script(0.0, ()), 0

    def say(self, script: Script) -> float:
        """Speak from the next frame on; return the time at which the script began."""
        assert self.began_s is not None, "the session does not listen"
        self._script, self._first = script, self._frames
        return self.began_s + self._frames * FRAME_MS / 1e3

    async def __anext__(self) -> rtc.AudioFrame:
        if self.began_s is None:
            self.began_s = time.monotonic()
        pcm = self._script.pcm(self._frames - self._first)
        self._frames += 1
        due_s = self.began_s + self._frames * FRAME_MS / 1e3
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        return rtc.AudioFrame(pcm, RATE_HZ, 1, FRAME_BYTES // 2)


@dataclass
class Heard:
    """What came of one conversation. Times are `time.monotonic`'s, delays are in milliseconds.

    Attributes:
        began_s: When the caller's audio began, of which the gateway notes how late each piece came.
        response_ms: For each reply, from the frame with the caller's last sound to its first audio.
        first_ms: For each reply, from the gateway's write of its first audio to the output.
        piece_ms: The same for every piece of audio.
        silenced_s: When the output was cleared by each interruption.
    """

    began_s: float = 0.0
    response_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    piece_ms: list[float] = field(default_factory=list)
    silenced_s: list[float] = field(default_factory=list)


class Loudspeaker(io.AudioOutput):
    """Notes when each piece of audio came, and plays it in real time."""

    def __init__(self) -> None:
        super().__init__(label="Loudspeaker", capabilities=io.AudioOutputCapabilities(pause=False))
        # When each reply's first audio came.
        self.started: list[float] = []
        self.heard = Heard()
        # When the reply began to play. None between two.
        self._began_s: float | None = None
        # Bytes of it.
        self._bytes = 0
        # Ends it. None while more of it may come.
        self._end: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        now_s, data = time.monotonic(), frame.data.cast("b")
        if self._began_s is None:
            self._began_s, self._bytes = now_s, 0
            self.started.append(now_s)
            self.heard.first_ms.append(1e3 * (now_s - STAMP.unpack_from(data)[0]))
            self.on_playback_started(created_at=time.time())
        for at in range(-self._bytes % PIECE_BYTES, len(data), PIECE_BYTES):
            self.heard.piece_ms.append(1e3 * (now_s - STAMP.unpack_from(data, at)[0]))
        self._bytes += len(data)

    def flush(self) -> None:
        super().flush()
        if self._began_s is not None and self._end is None:
            left_s = self._began_s + self._played_s - time.monotonic()
            self._end = asyncio.get_running_loop().call_later(left_s, self._finish, False)

    def clear_buffer(self) -> None:
        if self._began_s is not None:
            self.heard.silenced_s.append(time.monotonic())
            self._finish(True)

    @property
    def _played_s(self) -> float:
        return self._bytes / 2 / RATE_HZ

    def _finish(self, interrupted: bool) -> None:
        assert self._began_s is not None
        if self._end is not None:
            self._end.cancel()
        position_s = min(self._played_s, time.monotonic() - self._began_s)
        self._began_s = self._end = None
        self.on_playback_finished(playback_position=position_s, interrupted=interrupted)


class VoiceCall(ABC):
    """One way to hold a conversation with the gateway's voice model."""

    name: str

    @abstractmethod
    async def start(self) -> None:
        """Connect."""

    @abstractmethod
    async def talk(self, script: Script) -> Heard:
        """Hold a conversation."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close everything."""


class SessionCall(VoiceCall):
    """A whole `AgentSession` without a VAD."""

    def __init__(self, model: llm.RealtimeModel) -> None:
        # LiveKit warns of a loudspeaker that cannot pause, and of a session without a VAD.
        logging.getLogger("livekit.agents").setLevel(logging.ERROR)
        self._model = model
        self._microphone, self._loudspeaker = Microphone(), Loudspeaker()
        self._session = AgentSession[None](
            llm=model,
            vad=None,
            turn_handling={
                "turn_detection": None,
                # The loudspeaker cannot pause.
                "interruption": {"resume_false_interruption": False},
            },
            # LiveKit keeps the caller's audio from the model in the first seconds of a reply.
            aec_warmup_duration=None,
        )
        self._session.input.audio = self._microphone
        self._session.output.audio = self._loudspeaker
        # The caller's words, final.
        self._words: list[str] = []
        self._session.on("user_input_transcribed", self._note_words)

    async def start(self) -> None:
        await self._session.start(agent=Agent(instructions="You are a concierge."))

    async def talk(self, script: Script) -> Heard:
        loudspeaker = self._loudspeaker
        heard = loudspeaker.heard = Heard()
        loudspeaker.started.clear()
        self._words.clear()
        began_s = self._microphone.say(script)
        await asyncio.sleep(began_s + script.seconds - time.monotonic())
        turns = len(script.speech)
        if len(loudspeaker.started) != turns or len(self._words) != turns:
            raise RuntimeError(
                f"{self.name}: {turns} utterances, transcripts of {self._words}, replies at "
                f"{[each - began_s for each in loudspeaker.started]} s"
            )
        heard.began_s = self._microphone.began_s or 0.0
        for (_, ended_s), started_s in zip(script.speech, loudspeaker.started, strict=True):
            sounded_s = began_s + delivered_after(ended_s)
            heard.response_ms.append(1e3 * (started_s - sounded_s))
        return heard

    async def aclose(self) -> None:
        await self._session.aclose()
        await self._model.aclose()

    def _note_words(self, event: Any) -> None:
        if event.is_final:
            self._words.append(event.transcript)


class SpekoCall(SessionCall):
    """This plugin, with a session of one of its forms."""

    # The provider, by which the gateway chooses the form.
    provider: str

    def __init__(self, url: str) -> None:
        self._speko = Speko(base_url=url, api_key=API_KEY)
        super().__init__(
            SpekoRealtimeModel(speko=self._speko, provider=self.provider, model="bench-1")
        )

    async def aclose(self) -> None:
        await super().aclose()
        await self._speko.aclose()


class ProxyCall(SpekoCall):
    """Through Speko's proxy."""

    name, provider = "speko, proxy", "openai"


class XaiCall(SpekoCall):
    """Direct to xAI."""

    name, provider = "speko, xai", "xai"


class OpenAICall(SessionCall):
    """livekit-plugins-openai, on the socket that stands for xAI's too."""

    name = "openai plugin"

    def __init__(self, url: str) -> None:
        self._http = aiohttp.ClientSession()
        super().__init__(
            openai.realtime.RealtimeModel(
                model="bench-1",
                base_url=f"{url}/v1/realtime",
                api_key=API_KEY,
                http_session=self._http,
            )
        )

    async def aclose(self) -> None:
        await super().aclose()
        await self._http.close()


class SilentCall(SessionCall):
    """A session with a model that does nothing: LiveKit's own part, without that of a reply."""

    name = "LiveKit alone"

    def __init__(self, _: str) -> None:
        super().__init__(SilentModel())

    async def talk(self, script: Script) -> Heard:
        began_s = self._microphone.say(script)
        await asyncio.sleep(began_s + script.seconds - time.monotonic())
        return Heard()


class BareCall(VoiceCall):
    """A bare socket of Speko's proxy, which notes when audio came and does nothing with it."""

    name = "bare socket"

    def __init__(self, url: str) -> None:
        self._url = f"{url}/v1/sessions/s-1"
        self._http = aiohttp.ClientSession()
        self._microphone = Microphone()
        # None before `start`, like the task that speaks.
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._speaking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._ws = await self._http.ws_connect(self._url)
        self._speaking = asyncio.create_task(self._speak(self._ws))

    async def talk(self, script: Script) -> Heard:
        assert self._ws is not None
        began_s, heard = self._microphone.say(script), Heard()
        ends_s = began_s + script.seconds
        heard.began_s = self._microphone.began_s or 0.0
        is_first = True
        while (left_s := ends_s - time.monotonic()) > 0:
            try:
                message = await self._ws.receive(timeout=left_s)
            except asyncio.TimeoutError:
                break
            now_s = time.monotonic()
            if message.type is aiohttp.WSMsgType.BINARY:
                late_ms = 1e3 * (now_s - STAMP.unpack_from(message.data)[0])
                heard.piece_ms.append(late_ms)
                if is_first:
                    heard.first_ms.append(late_ms)
                is_first = False
            elif "usage" in message.data:
                is_first = True
        return heard

    async def aclose(self) -> None:
        assert self._ws is not None and self._speaking is not None
        self._speaking.cancel()
        await asyncio.wait([self._speaking])
        await self._ws.close()
        await self._http.close()

    async def _speak(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in self._microphone:
            await ws.send_bytes(bytes(frame.data))


CALLS: dict[str, type[Any]] = {
    each.name: each for each in (BareCall, SilentCall, ProxyCall, XaiCall, OpenAICall)
}
