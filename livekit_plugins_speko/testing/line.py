"""A simulated phone line: a caller and an agent session in one process, in real time."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from types import TracebackType

import numpy as np
from livekit.agents.voice import io

from ._line.audio import SAMPLE_BYTES, Samples, resample, to_samples, write_stereo_wav
from ._line.ends import AgentAudio, CallerAudio
from ._line.timeline import LineSegment, Timeline

__all__ = ["CallLine", "LineSegment"]

CALLER_RATE_HZ = 16000
RECORDING_RATE_HZ = 24000
FRAME_MS = 20

_FRAME_S = FRAME_MS / 1000
_CALLER_FRAME_BYTES = CALLER_RATE_HZ * FRAME_MS // 1000 * SAMPLE_BYTES
_AGENT_BLOCK_BYTES = RECORDING_RATE_HZ * FRAME_MS // 1000 * SAMPLE_BYTES


class _Utterance:
    """One utterance of the caller, waiting or being said."""

    def __init__(self, pcm: bytes) -> None:
        # Mono int16 PCM that is not sent yet.
        self.left = pcm
        self.started = False
        # Awaited by the caller of say(), and cancelled with it.
        self.said: asyncio.Future[LineSegment] = asyncio.get_running_loop().create_future()


class CallLine:
    """A call between a caller made of WAV files and an `AgentSession` without a room.

    Use it as `async with CallLine() as line`, set `session.input.audio = line.input` and
    `session.output.audio = line.output`, start the session without a room, then `line.say(...)`.

    The caller is a microphone: 16000 Hz mono int16 in frames of 20 ms, silence between the
    utterances. The agent is played in real time, at any frame rate, and stops when the session
    clears or pauses the output. Both sides are recorded on one clock. The line owns the task that
    keeps the time; it is used on one event loop, by any number of tasks.
    """

    def __init__(self) -> None:
        """Make a line that is not open; `async with` opens it and starts its clock."""
        self._input = CallerAudio(CALLER_RATE_HZ)
        self._output = AgentAudio(
            RECORDING_RATE_HZ, started=self._agent_starts, ended=self._agent_ends
        )
        self._timeline = Timeline()
        self._utterances: deque[_Utterance] = deque()
        # The recording so far, mono int16; both sides grow by one frame per tick.
        self._caller_pcm = bytearray()
        self._agent_pcm = bytearray()
        # The time at which the last played block of the agent's voice ends.
        self._agent_heard_s = 0.0
        # The perf_counter time of the opening; None before it.
        self._opened_at: float | None = None
        # Runs from the opening to the close; None before the opening.
        self._pacer: asyncio.Task[None] | None = None
        self._closed = False

    async def __aenter__(self) -> CallLine:
        """Open the line: the clock starts and the caller's silence begins.

        Raises:
            RuntimeError: It was opened before.
        """
        if self._opened_at is not None:
            raise RuntimeError("CallLine: a line opens once; make a new one for each call")
        self._opened_at = time.perf_counter()
        self._pacer = asyncio.create_task(self._keep_time(), name="CallLine")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Hang up, as `aclose` does."""
        await self.aclose()

    async def aclose(self) -> None:
        """Hang up: calls that still wait for the line raise `RuntimeError`.

        The recording and the segments stay readable. A session that continues to speak is not
        recorded, and does not wait for its playback.
        """
        if self._pacer is not None:
            self._pacer.cancel()
            await asyncio.wait([self._pacer])
        self._hang_up()
        if self._pacer is not None and not self._pacer.cancelled():
            self._pacer.result()

    @property
    def input(self) -> io.AudioInput:
        """The caller's audio, for `session.input.audio`: 16000 Hz mono int16, 20 ms frames."""
        return self._input

    @property
    def output(self) -> io.AudioOutput:
        """The agent's audio, for `session.output.audio`: int16 frames of any rate."""
        return self._output

    @property
    def now_s(self) -> float:
        """Seconds since the line was opened (on `perf_counter`); 0.0 before that."""
        return 0.0 if self._opened_at is None else time.perf_counter() - self._opened_at

    @property
    def segments(self) -> list[LineSegment]:
        """All segments of both sides so far, in the order of their starts."""
        return self._timeline.segments

    async def say(self, speech: str | os.PathLike[str] | bytes | Samples) -> LineSegment:
        """Let the caller speak; return when the last sample was sent.

        Two calls at once are played one after the other. A cancelled call ends at once.

        Args:
            speech: The path of a WAV file (16-bit PCM, any rate and channels), the bytes of one,
                or mono int16 samples of shape (samples,) at 16000 Hz.

        Returns:
            The caller's segment.

        Raises:
            RuntimeError: The line is not open, or was closed in the meantime.
            TypeError: The array is not int16.
            ValueError: There are no samples, the array is not mono, or the WAV not 16-bit PCM.
        """
        self._check_open()
        samples = to_samples(speech, CALLER_RATE_HZ)
        if not samples.size:
            raise ValueError("CallLine: expected something to say, got no samples")
        utterance = _Utterance(samples.tobytes())
        self._utterances.append(utterance)
        return await utterance.said

    async def agent_started_speaking(self, *, after_s: float | None = None) -> LineSegment:
        """Wait until the agent speaks.

        Args:
            after_s: Take the first segment that started at this time of the line or later; it
                may have ended. None takes the current segment or else the next one.

        Returns:
            The agent's segment.

        Raises:
            RuntimeError: The line is not open, or was closed in the meantime.
        """
        self._check_open()
        return await self._timeline.wait_for("agent", after_s, lambda segment: True)

    async def agent_finished(self, *, after_s: float | None = None) -> LineSegment:
        """Wait until the agent has finished speaking, or was interrupted.

        Args:
            after_s: As for `agent_started_speaking`.

        Returns:
            The agent's segment, with its end.

        Raises:
            RuntimeError: The line is not open, or was closed in the meantime.
        """
        self._check_open()
        return await self._timeline.wait_for(
            "agent", after_s, lambda segment: segment.ended_s is not None
        )

    def recording(self) -> Samples:
        """Return the call so far.

        Returns:
            int16 samples of shape (frames, 2) at 24000 Hz: the caller left, the agent right.
        """
        agent = np.frombuffer(bytes(self._agent_pcm), dtype=np.int16)
        said = np.frombuffer(bytes(self._caller_pcm), dtype=np.int16)
        caller = resample(said, CALLER_RATE_HZ, RECORDING_RATE_HZ)[: agent.size]
        caller = np.pad(caller, (0, agent.size - caller.size))
        return np.stack([caller, agent], axis=1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `recording()` as a 16-bit stereo WAV; missing folders are made."""
        write_stereo_wav(path, self.recording(), RECORDING_RATE_HZ)

    async def _keep_time(self) -> None:
        try:
            due_s = 0.0
            while True:
                # The ticks after a late one follow without a pause, so that the call has no gaps.
                await asyncio.sleep(max(0.0, due_s - self.now_s))
                self._tick()
                due_s += _FRAME_S
        finally:
            self._hang_up()

    def _tick(self) -> None:
        frame = self._caller_frame().ljust(_CALLER_FRAME_BYTES, b"\0")
        self._input.push(frame)
        self._caller_pcm += frame
        block = self._output.play(_AGENT_BLOCK_BYTES)
        if block:
            self._agent_heard_s = self.now_s + _FRAME_S * len(block) / _AGENT_BLOCK_BYTES
        self._agent_pcm += block.ljust(_AGENT_BLOCK_BYTES, b"\0")

    def _caller_frame(self) -> bytes:
        if not self._utterances:
            return b""
        utterance = self._utterances[0]
        if utterance.said.cancelled():
            self._end_utterance()
            return b""
        if not utterance.started:
            utterance.started = True
            self._timeline.start("caller", self.now_s)
        frame = utterance.left[:_CALLER_FRAME_BYTES]
        utterance.left = utterance.left[_CALLER_FRAME_BYTES:]
        if not utterance.left:
            self._end_utterance()
        return frame

    def _end_utterance(self) -> None:
        utterance = self._utterances.popleft()
        if not utterance.started:
            return
        segment = self._timeline.end("caller", self.now_s)
        if not utterance.said.done():
            utterance.said.set_result(segment)

    def _agent_starts(self) -> None:
        self._timeline.start("agent", self.now_s)

    def _agent_ends(self, interrupted: bool) -> None:
        ended_s = min(self._agent_heard_s, self.now_s)
        self._timeline.end("agent", ended_s, interrupted=interrupted)

    def _check_open(self) -> None:
        if self._opened_at is None or self._closed:
            raise RuntimeError("CallLine: the line is not open; use it inside `async with`")

    def _hang_up(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._input.close()
        self._output.hang_up()
        for utterance in self._utterances:
            if not utterance.said.done():
                utterance.said.set_exception(RuntimeError("CallLine: the line was closed"))
        while self._utterances:
            self._end_utterance()
        self._timeline.close()
