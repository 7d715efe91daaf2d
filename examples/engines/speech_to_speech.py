"""A small voice model for the local gateway: the demo's recogniser, rules and voice, and a VAD."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

from livekit import rtc
from livekit.agents.vad import VAD, VADEvent, VADEventType

from livekit_plugins_speko.testing import (
    Interruption,
    RealtimeConnection,
    ReceivedFrame,
    ToolCall,
)

from .caller_words import CallerWords
from .dialogue import Dialogue
from .recogniser import Recogniser
from .segment import Segment
from .speaker import Speaker
from .voice import Voice

_logger = logging.getLogger(__name__)

# New audio after which the caller's words are recognised again, in seconds.
INTERIM_EVERY_S = 0.8
# The rules are too quick for a model.
THINKING_S = 0.15


class SpeechToSpeech:
    """Hears and speaks: the engine of `realtime`, in each of its forms.

    Its VAD decides on the caller's turns: a caller who begins to speak interrupts the reply, one
    who is silent is replied to. It continues from the history in the session's prompt. A turn has
    25 s at most; what follows without a pause is not heard. `instructions` of a client have no
    effect, since no rule can follow them.
    """

    def __init__(self, recogniser: Recogniser, voice: Voice, vad: VAD) -> None:
        """Make the engine.

        Args:
            recogniser: Understands the caller. It may serve `/v1/transcribe` too.
            voice: Speaks. It may serve `/v1/synthesize` too.
            vad: Detects speech.
        """
        self._recogniser = recogniser
        self._voice = voice
        self._vad = vad
        # Calls that are being closed.
        self._closing: set[asyncio.Task[None]] = set()

    async def __call__(self, connection: RealtimeConnection) -> None:
        """Talk on a connection until it is closed."""
        call = Call(connection, self._recogniser, Speaker(connection, self._voice), self._vad)
        _logger.info("voice model: connected")
        try:
            await call.run()
        finally:
            # Without a close frame neither is known yet.
            code, side = connection.close_code or 1006, connection.closed_by or "client"
            _logger.info("voice model: closed with %s by the %s", code, side)
            # A client that is gone cancels this twice: once for its close, once for its socket.
            closing = asyncio.create_task(call.aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            await asyncio.shield(closing)


class Call:
    """The turns of one connection. It belongs to the gateway's event loop."""

    def __init__(
        self, connection: RealtimeConnection, recogniser: Recogniser, speaker: Speaker, vad: VAD
    ) -> None:
        self._connection = connection
        self._recogniser = recogniser
        self._speaker = speaker
        self._ears = vad.stream()
        self._dialogue = Dialogue(connection.session.s2s)
        # The caller's utterance. None while the caller is silent.
        self._segment: Segment | None = None
        # The words of the latest one.
        self._words = CallerWords(connection)
        # The reply that is being made. None before the first one.
        self._reply: asyncio.Task[None] | None = None
        # Done at the end of the connection, or with the error of a task.
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Hear and speak until the connection is closed."""
        self._start(self._watch())
        self._start(self._listen())
        await self._over

    async def aclose(self) -> None:
        """End all tasks."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._segment is not None:
            await self._segment.aclose()
        await self._ears.aclose()

    def _start(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._over.done():
            self._over.set_exception(error)

    async def _listen(self) -> None:
        """Take what the client sends, to its end."""
        async for frame in self._connection.incoming():
            if frame.kind == "audio":
                samples = len(frame.pcm) // 2
                rate_hz = self._connection.input_rate_hz
                self._ears.push_frame(rtc.AudioFrame(frame.pcm, rate_hz, 1, samples))
            else:
                await self._take(frame)
        if not self._over.done():
            self._over.set_result(None)

    async def _take(self, frame: ReceivedFrame) -> None:
        if frame.kind == "interrupt":
            await self._stop_reply()
        elif frame.kind == "commit":
            await self._end_turn()
        elif frame.kind == "tool_result":
            self._dialogue.take_result(frame.call_id, frame.text)
            if self._segment is None and (self._reply is None or self._reply.done()):
                self._begin_reply()
        elif frame.kind == "text":
            await self._stop_reply()
            self._dialogue.hear(frame.text)
            self._begin_reply()

    async def _watch(self) -> None:
        """Follow the caller's speech."""
        async for event in self._ears:
            if event.type is VADEventType.START_OF_SPEECH:
                await self._begin_turn(event)
            elif event.type is VADEventType.END_OF_SPEECH:
                await self._end_turn()
            elif event.speaking and self._segment is not None:
                self._segment.add(_pcm(event))
                if self._segment.is_full:
                    await self._end_turn()

    async def _begin_turn(self, event: VADEvent) -> None:
        if self._reply is not None:
            self._reply.cancel()
        await self._connection.send(Interruption())
        await self._stop_reply()
        self._words = CallerWords(self._connection)
        self._segment = Segment(
            self._recogniser,
            self._connection.input_rate_hz,
            self._words.send_partial,
            every_s=INTERIM_EVERY_S,
        )
        self._segment.add(_pcm(event))

    async def _end_turn(self) -> None:
        segment, self._segment = self._segment, None
        if segment is None:
            return
        try:
            text = await self._words.send_final(await segment.finish())
        finally:
            await segment.aclose()
        if text:
            self._dialogue.hear(text)
            self._begin_reply()

    def _begin_reply(self) -> None:
        self._reply = self._start(self._respond())

    async def _respond(self) -> None:
        await asyncio.sleep(THINKING_S)
        step = self._dialogue.next_step()
        if isinstance(step, ToolCall):
            await self._speaker.call(step)
        else:
            self._dialogue.say(step)
            await self._speaker.say(step)

    async def _stop_reply(self) -> None:
        """Cut the reply that is being made; its end is sent."""
        if self._reply is not None:
            self._reply.cancel()
            await asyncio.wait([self._reply])
        await self._speaker.end()


def _pcm(event: VADEvent) -> bytes:
    return b"".join(bytes(frame.data) for frame in event.frames)
