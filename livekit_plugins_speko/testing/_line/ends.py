"""The phone line as an agent session uses it: its audio input and its audio output."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from livekit import rtc
from livekit.agents.voice import io

from .audio import SAMPLE_BYTES, RateConverter


class CallerAudio(io.AudioInput):
    """The caller's side as a session's audio input, with one frame per tick of the line.

    Read by one session at a time. Frames that arrive while no session is attached are dropped.
    """

    def __init__(self, rate_hz: int) -> None:
        """Make an input.

        Args:
            rate_hz: The rate of the frames, mono int16.
        """
        super().__init__(label="CallLine")
        self._rate_hz = rate_hz
        # None marks the end of the call.
        self._frames: asyncio.Queue[rtc.AudioFrame | None] = asyncio.Queue()
        self._attached = False

    def on_attached(self) -> None:
        """Start to keep frames for the session."""
        self._attached = True

    def on_detached(self) -> None:
        """Drop frames from now on."""
        self._attached = False

    def push(self, pcm: bytes) -> None:
        """Forward one frame of mono int16 PCM to the session."""
        if self._attached:
            samples = len(pcm) // SAMPLE_BYTES
            self._frames.put_nowait(rtc.AudioFrame(pcm, self._rate_hz, 1, samples))

    def close(self) -> None:
        """End the iteration after the queued frames."""
        self._frames.put_nowait(None)

    async def __anext__(self) -> rtc.AudioFrame:
        """Return the next frame, mono int16; stop when the line is closed."""
        frame = await self._frames.get()
        if frame is None:
            # A further call must not wait for ever.
            self._frames.put_nowait(None)
            raise StopAsyncIteration
        return frame


class _Speech:
    """One stretch of agent audio, from its first frame to its flush."""

    def __init__(self, rate_hz: int) -> None:
        self.converter = RateConverter(rate_hz)
        # Mono int16 PCM that is not played yet.
        self.waiting = bytearray()
        self.played_bytes = 0
        # Seconds of audio captured, at the rate of the frames.
        self.captured_s = 0.0
        # True once the stretch was flushed.
        self.complete = False


class AgentAudio(io.AudioOutput):
    """The agent's side as a session's audio output, played block by block in real time.

    Frames of any rate are accepted faster than real time. The line takes one block per tick;
    every LiveKit event (playback started, finished) follows from the blocks that were taken.
    """

    def __init__(
        self,
        rate_hz: int,
        *,
        started: Callable[[], None],
        ended: Callable[[bool], None],
    ) -> None:
        """Make an output.

        Args:
            rate_hz: The rate of the blocks that are played.
            started: Called when the first block of a stretch is played.
            ended: Called at the end of a stretch that was started, with True if it was interrupted.
        """
        super().__init__(
            label="CallLine",
            capabilities=io.AudioOutputCapabilities(pause=True),
            sample_rate=None,
        )
        self._rate_hz = rate_hz
        self._started = started
        self._ended = ended
        # Stretches that have not ended, in the order of playing.
        self._speeches: deque[_Speech] = deque()
        # The stretch that frames are added to; None between a flush and the next frame.
        self._open: _Speech | None = None
        # True from a clear in the middle of a stretch to its flush: the rest is dropped.
        self._dropping = False
        self._paused = False
        # True once the line is closed: later audio ends unplayed, so that no session waits for it.
        self._hung_up = False

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Take a frame of the agent's speech: int16, any rate and channel count."""
        await super().capture_frame(frame)
        if self._dropping:
            return
        if self._open is None:
            self._open = _Speech(self._rate_hz)
            self._speeches.append(self._open)
        self._open.waiting += self._open.converter.push(frame)
        self._open.captured_s += frame.duration

    def flush(self) -> None:
        """Mark the stretch as complete: its playback ends with its last sample."""
        super().flush()
        self._dropping = False
        if self._open is not None:
            self._open.waiting += self._open.converter.flush()
            self._open.complete = True
            self._open = None
        if self._hung_up:
            self.clear_buffer()

    def clear_buffer(self) -> None:
        """Stop at once and drop all audio that is not played yet."""
        self._dropping = self._open is not None
        self._open = None
        while self._speeches:
            self._finish(self._speeches.popleft(), interrupted=True)

    def pause(self) -> None:
        """Stop playing and keep the rest for `resume`."""
        super().pause()
        self._paused = True

    def resume(self) -> None:
        """Continue after `pause`."""
        super().resume()
        self._paused = False

    def hang_up(self) -> None:
        """End the current stretch, and each later one as soon as it is complete."""
        self._hung_up = True
        self.clear_buffer()

    def play(self, block_bytes: int) -> bytes:
        """Return the next block as mono int16 PCM, empty when the agent is silent now.

        Args:
            block_bytes: The largest size to return. Only the last block of a stretch is shorter.
        """
        while self._speeches and self._speeches[0].complete and not self._speeches[0].waiting:
            self._finish(self._speeches.popleft(), interrupted=False)
        if self._paused or not self._speeches:
            return b""
        speech = self._speeches[0]
        if len(speech.waiting) < block_bytes and not speech.complete:
            return b""
        if not speech.played_bytes:
            self._started()
            self.on_playback_started(created_at=time.time())
        block = bytes(speech.waiting[:block_bytes])
        del speech.waiting[:block_bytes]
        speech.played_bytes += len(block)
        return block

    def _finish(self, speech: _Speech, *, interrupted: bool) -> None:
        played_s = speech.played_bytes / SAMPLE_BYTES / self._rate_hz
        if speech.played_bytes:
            self._ended(interrupted)
        # Resampled audio can be a few samples longer than the captured audio.
        position_s = min(played_s, speech.captured_s) if interrupted else speech.captured_s
        self.on_playback_finished(playback_position=position_s, interrupted=interrupted)
