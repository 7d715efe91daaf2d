"""Whole sessions over a recognition that streams, and a recogniser that tells sounds apart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import KW_ONLY, dataclass
from typing import Any

from livekit import rtc
from livekit.agents import Agent, stt, vad
from livekit.agents.types import APIConnectOptions
from livekit.agents.voice import io

from livekit_plugins_speko import Speko, create_speko_components
from livekit_plugins_speko.testing import (
    Answer,
    Final,
    Interim,
    LocalGateway,
    RecognitionConnection,
    StreamedTranscript,
)
from tests.helpers.eager_sessions import EagerCaller, TextCall, answer
from tests.helpers.session_calls import ONCE, make_session
from tests.helpers.session_line import FRAME_BYTES, SILENCE, Ear, say

_FRAME_S = 0.02
# Digital silence that ends a stretch of sound, and sound that begins one, in seconds.
_GAP_S = 0.1
_SOUND_S = 0.3


@dataclass(frozen=True)
class Stretches:
    """An engine that takes each stretch of sound for the next of its texts.

    Attributes:
        texts: A text for each stretch, in order; "" for noise.
        obeys_flush: A flush makes what was said so far final at once.
        endpoint_s: Silence, in seconds, after which that is final without one; None for never.
        interims: Each text is reported as it is said.
        finals: The final texts where they differ from the interims, by the interim text.
        joint: Written between two texts of a segment.
    """

    texts: tuple[str, ...]
    _: KW_ONLY
    obeys_flush: bool = True
    endpoint_s: float | None = None
    interims: bool = True
    finals: Mapping[str, str] | None = None
    joint: str = " "

    async def __call__(self, connection: RecognitionConnection) -> None:
        """Recognise one connection."""
        await _Ear(self, connection).listen()


class _Ear:
    """One connection of the engine."""

    def __init__(self, engine: Stretches, connection: RecognitionConnection) -> None:
        self._engine = engine
        self._connection = connection
        self._texts = iter(engine.texts)
        # Texts since the last final.
        self._segment: list[str] = []
        # Seconds of sound in the stretch under way, and of the silence since.
        self._sound_s = self._silence_s = 0.0

    async def listen(self) -> None:
        async for frame in self._connection.incoming():
            if frame.kind == "audio":
                # What is sent again comes in longer pieces.
                for at in range(0, len(frame.pcm), FRAME_BYTES):
                    await self._take(frame.pcm[at : at + FRAME_BYTES])
            elif frame.kind == "end" or self._engine.obeys_flush:
                await self._finalise()

    async def _take(self, pcm: bytes) -> None:
        seconds = len(pcm) / self._connection.bytes_per_second
        if any(pcm):
            before, self._sound_s = self._sound_s, self._sound_s + seconds
            self._silence_s = 0.0
            if before < _SOUND_S <= self._sound_s:
                await self._recognise(next(self._texts))
            return
        self._silence_s += seconds
        if self._silence_s >= _GAP_S:
            self._sound_s = 0.0
        endpoint_s = self._engine.endpoint_s
        if endpoint_s is not None and self._silence_s >= endpoint_s and self._segment:
            await self._finalise()

    async def _recognise(self, text: str) -> None:
        self._segment.append(text)
        if self._engine.interims and text:
            await self._connection.send(Interim(self._engine.joint.join(self._segment)))

    async def _finalise(self) -> None:
        text = self._engine.joint.join(self._segment)
        self._segment.clear()
        await self._connection.send(Final((self._engine.finals or {}).get(text, text)))


class LiveCaller(EagerCaller):
    """A caller in real time, silent unless a test has something to say.

    Recognition and VAD follow the audio at different speeds, so its time must be real.
    """

    def __init__(self) -> None:
        super().__init__()
        # The loop's time at which the next frame is due. None before the first.
        self._due_s: float | None = None

    async def __anext__(self) -> rtc.AudioFrame:
        now_s = asyncio.get_running_loop().time()
        self._due_s = now_s if self._due_s is None else self._due_s + _FRAME_S
        await asyncio.sleep(max(0.0, self._due_s - now_s))
        pcm = SILENCE
        if not self._frames.empty():
            pcm = self._frames.get_nowait()
            self._frames.task_done()
        return rtc.AudioFrame(pcm, 16_000, 1, FRAME_BYTES // 2)


class PatientEar(Ear):
    """A loudspeaker that plays its first segment until the caller interrupts."""

    def __init__(self) -> None:
        super().__init__()
        self._interrupted = False

    def flush(self) -> None:
        if self._interrupted:
            super().flush()
        else:
            io.AudioOutput.flush(self)

    def clear_buffer(self) -> None:
        self._interrupted = True
        super().clear_buffer()


@asynccontextmanager
async def streaming_calling(
    voice_detector: vad.VAD,
    recognise: Stretches,
    *,
    script: Sequence[Answer] = (),
    agent: Agent | None = None,
    ear: Ear | None = None,
    wrap: Callable[[stt.STT[Any]], stt.STT[Any]] | None = None,
    through: Callable[[str], AbstractAsyncContextManager[str]] = nullcontext,
    conn_options: APIConnectOptions = ONCE,
    max_errors: int = 3,
    close_timeout_s: float = 0.0,
    session_options: Mapping[str, Any] | None = None,
    **stt_options: Any,
) -> AsyncIterator[TextCall]:
    """A call whose recognition streams. When it is over nothing is left on the network.

    No request was made to recognise a whole utterance. The first connections play the `script`,
    the others `recognise`. `session_options` are those of
    `AgentSession.update_options`; `wrap` makes the session's STT of the components'. The client
    has the gateway's address `through` something.
    """
    async with LocalGateway() as gateway:
        gateway.transcribe_stream.script(*script)
        gateway.transcribe_stream.always(StreamedTranscript(recognise))
        gateway.synthesize.use(say)
        gateway.complete.use(answer)
        async with (
            through(gateway.base_url) as url,
            Speko(base_url=url, api_key=gateway.api_key) as speko,
        ):
            components = create_speko_components(
                speko=speko,
                vad=voice_detector,
                intent={"language": "en"},
                stt_options={"streaming": True, **stt_options},
            )
            used: Any = components
            if wrap is not None:
                used = components._replace(stt=wrap(components.stt))  # type: ignore[arg-type]
            session = make_session(used, voice_detector, conn_options, max_errors, close_timeout_s)
            if session_options:
                session.update_options(**session_options)
            call = TextCall(session, gateway)
            call.caller, call.ear = LiveCaller(), ear or call.ear
            session.input.audio, session.output.audio = call.caller, call.ear
            await session.start(agent=agent or Agent(instructions="You are a concierge."))
            try:
                yield call
            finally:
                await session.aclose()
                await components.aclose()
            await gateway.idle(connections=100)  # idle ones are the client's to keep
        await gateway.idle()
        assert gateway.requests_to("transcribe") == []
