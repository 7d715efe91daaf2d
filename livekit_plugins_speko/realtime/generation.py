"""One reply of the model as LiveKit's streams."""

from __future__ import annotations

import asyncio
import time
from typing import Literal

from livekit import rtc
from livekit.agents import llm, utils

from ..api.timing import Timing

FRAME_MS = 100
"""Longest frame that is emitted, in milliseconds. One of minutes could not be cut."""

_HELD_BACK = 24
"""Longest last word, in characters, that waits for the next one because it may be revised."""


class Words:
    """Turns an utterance that grows, and may be revised at its end, into pieces that only append.

    The last word waits until another follows it or the utterance is complete.
    """

    def __init__(self) -> None:
        # All of the utterance as it came last.
        self.text = ""
        # Number of its characters that were forwarded.
        self._forwarded = 0

    def update(self, text: str, *, final: bool) -> str:
        """Take all of the utterance so far; return what can be forwarded."""
        self.text = text
        end = len(text) if final else max(0, text.rfind(" "))
        if not final and len(text) - end > _HELD_BACK:
            end = len(text)
        piece = text[self._forwarded : end]
        self._forwarded = max(self._forwarded, end)
        return piece

    def rest(self) -> str:
        """Return what waits, since no more comes."""
        return self.update(self.text, final=True)


class Generation:
    """A reply's streams, from its first event to its end. Used by one task.

    Its message opens with the first words or audio, so that a reply of tool calls alone has none.
    """

    def __init__(self, *, user_initiated: bool, timing: Timing) -> None:
        """Open a reply.

        Args:
            user_initiated: True if `generate_reply` requested it.
            timing: A stopwatch that began when the reply was due.
        """
        self.id = utils.shortuuid("speko_reply_")
        self.message_id = utils.shortuuid("speko_item_")
        self.timing = timing
        # Time of day at which it began.
        self.began_at = time.time()
        self._messages = utils.aio.Chan[llm.MessageGeneration]()
        self._calls = utils.aio.Chan[llm.FunctionCall]()
        self._text = utils.aio.Chan[str]()
        self._audio = utils.aio.Chan[rtc.AudioFrame]()
        self._words = Words()
        # Rate of its audio in Hz, the first frame's: LiveKit takes one a reply. None before.
        self._rate: int | None = None
        # Converts audio that comes at another rate. None without such audio.
        self._resampler: rtc.AudioResampler | None = None
        self._odd_rate: int | None = None
        # Number of frames emitted.
        self._frames = 0
        # Audio received, in seconds.
        self.audio_s = 0.0
        # True once the message is in LiveKit's hands.
        self.has_message = False
        # True once its text has its end.
        self.text_is_final = False
        # True once it was cut by the caller or the author.
        self.cancelled = False
        self.closed = False
        self.event = llm.GenerationCreatedEvent(
            message_stream=self._messages,
            function_stream=self._calls,
            user_initiated=user_initiated,
            response_id=self.id,
        )

    @property
    def text(self) -> str:
        """Return its words so far."""
        return self._words.text

    @property
    def was_begun(self) -> bool:
        """Return True once LiveKit took some of its audio."""
        return self._frames > self._audio.qsize()

    def push_audio(self, pcm: bytes, sample_rate: int) -> float:
        """Emit audio; return its seconds."""
        self._open_message()
        self.timing.note_output()
        if self._rate is None:
            self._rate = sample_rate
        whole = rtc.AudioFrame(pcm, sample_rate, 1, len(pcm) // 2)
        if sample_rate != self._odd_rate:
            self._end_resampling()
        if sample_rate == self._rate:
            self._emit(whole)
        else:
            self._resample(whole, self._rate)
        seconds = len(pcm) / 2 / sample_rate
        self.audio_s += seconds
        return seconds

    def _emit(self, frame: rtc.AudioFrame) -> None:
        """Emit a frame of the reply's rate in pieces."""
        size = frame.sample_rate * FRAME_MS // 1000 * 2
        data = frame.data.cast("b")
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            self._frames += 1
            self._audio.send_nowait(
                rtc.AudioFrame(piece.tobytes(), frame.sample_rate, 1, len(piece) // 2)
            )

    def _resample(self, frame: rtc.AudioFrame, rate: int) -> None:
        if self._resampler is None:
            self._odd_rate = frame.sample_rate
            self._resampler = rtc.AudioResampler(frame.sample_rate, rate)
        for each in self._resampler.push(frame):
            self._emit(each)

    def _end_resampling(self) -> None:
        """Emit what the resampler holds back, which is hundredths of a second."""
        if self._resampler is not None:
            for each in self._resampler.flush():
                self._emit(each)
        self._resampler = self._odd_rate = None

    def push_text(self, text: str, *, final: bool) -> None:
        """Take all of its words so far."""
        self._open_message()
        if self.text_is_final:
            # A second utterance of the same reply.
            text = f"{self._words.text} {text}"
        self.text_is_final = final
        if piece := self._words.update(text, final=final):
            self._text.send_nowait(piece)

    def push_call(self, call: llm.FunctionCall) -> None:
        """Let LiveKit run a tool."""
        self._calls.send_nowait(call)

    def end_audio(self) -> None:
        """End its audio. Its words may still come."""
        self._end_resampling()
        self._audio.close()

    def close(self, *, cancelled: bool = False) -> None:
        """Close every stream: an open one would keep the agent speaking for ever."""
        if self.closed:
            return
        self.closed, self.cancelled = True, cancelled
        if not cancelled:
            self._end_resampling()
            if piece := self._words.rest():
                self._text.send_nowait(piece)
        for stream in (self._text, self._audio, self._messages, self._calls):
            stream.close()

    def _open_message(self) -> None:
        if self.has_message:
            return
        self.has_message = True
        modalities: asyncio.Future[list[Literal["text", "audio"]]] = asyncio.Future()
        modalities.set_result(["audio", "text"])
        self._messages.send_nowait(
            llm.MessageGeneration(
                message_id=self.message_id,
                text_stream=self._text,
                audio_stream=self._audio,
                modalities=modalities,
            )
        )
