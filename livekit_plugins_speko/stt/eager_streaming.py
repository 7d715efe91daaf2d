"""One caller's audio, recognised while it is spoken, its reply begun in the caller's pause."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import replace
from functools import partial

from livekit.agents import APIConnectOptions, stt, utils, vad
from livekit.agents.types import NotGivenOr

from .._aio import close_all
from .eager import Change, Pauses
from .eager_stream import EagerParts
from .open_text import OpenTextStream
from .spoken_text import SpokenText

FINAL_WAIT_S = 2.0
"""Longest wait for the final transcript of an utterance that has ended, in seconds."""


class EagerStreamingStream(OpenTextStream):
    """One caller's audio, for a VAD and a streaming STT at once. One final for each utterance.

    Three tasks: one feeds both, one follows the VAD's events, one the transcripts. In the caller's
    pause the text so far is the preflight transcript, and the final one is requested at once.
    """

    def __init__(
        self,
        adapter: stt.StreamAdapter,
        parts: EagerParts,
        *,
        language: NotGivenOr[str],
        conn_options: APIConnectOptions,
    ) -> None:
        super().__init__(
            adapter,
            detector=parts.detector,
            recognizer=parts.recognizer,
            language=language,
            conn_options=conn_options,
            session=parts.preflight.session(),
        )
        self._parts = parts
        # Its connection begins with the stream.
        self._recognition = parts.recognizer.stream(language=language, conn_options=conn_options)
        self._text = SpokenText()
        # Pauses of the utterance under way. None between two utterances.
        self._pauses: Pauses | None = None
        # End of the speech of an utterance whose final is awaited. None when none is.
        self._ended: float | None = None
        # Ends that wait. None when none is awaited.
        self._timer: asyncio.TimerHandle | None = None
        # True while the caller pauses.
        self._paused = False
        # The preflight transcript of the pause. None when there was none.
        self._preflight: stt.SpeechData | None = None
        # The text at which the caller continued: no preflight before there is more. None before.
        self._continued_at: stt.SpeechData | None = None
        # True once an interim transcript came: from then on an open segment shows a final to come.
        self._has_interims = False
        # True if the caller has spoken since the last final transcript came.
        self._spoken = False

    @property
    def start_time_offset(self) -> float:
        """Seconds to add to the times of words: those of the call before this stream."""
        return self._recognition.start_time_offset

    @start_time_offset.setter
    def start_time_offset(self, value: float) -> None:
        self._recognition.start_time_offset = value

    async def aclose(self) -> None:
        """Close the stream and its recognition, also before either has begun."""
        await close_all(super().aclose, self._recognition.aclose)

    async def _run(self) -> None:
        vad_stream = self._parts.detector.stream()
        tasks = [
            asyncio.create_task(self._feed(vad_stream), name="speko_eager_feed"),
            asyncio.create_task(self._follow_vad(vad_stream), name="speko_eager_vad"),
            asyncio.create_task(self._follow_transcripts(), name="speko_eager_transcripts"),
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            await close_all(
                partial(utils.aio.cancel_and_wait, *tasks),
                self._finish,
                self._recognition.aclose,
                vad_stream.aclose,
            )

    async def _feed(self, vad_stream: vad.VADStream) -> None:
        async for item in self._input_ch:
            if isinstance(item, self._FlushSentinel):
                self._last_words.flushed()
                vad_stream.flush()
                self._recognition.flush()
            else:
                self._recognition.push_frame(item)
                self._last_words.pushed(item, time.monotonic())
                vad_stream.push_frame(item)
        vad_stream.end_input()
        self._recognition.end_input()

    async def _follow_vad(self, vad_stream: vad.VADStream) -> None:
        async for event in vad_stream:
            if event.type == vad.VADEventType.START_OF_SPEECH:
                self._begin()
            elif event.type == vad.VADEventType.END_OF_SPEECH:
                self._end(event)
            elif self._pauses is not None:
                self._continue(self._pauses, event)
            elif self._ended is None and not self._text.is_open:
                self._answer_last_words(event)

    def _begin(self) -> None:
        if self._ended is not None:
            self._send_final()
        self._pauses = Pauses(delay_s=self._parts.delay_s)
        self._spoken = True
        self._send(stt.SpeechEventType.START_OF_SPEECH)

    def _continue(self, pauses: Pauses, event: vad.VADEvent) -> None:
        change = pauses.add(event)
        if change is Change.PAUSED:
            self._paused = True
            self._recognition.flush()
            self._send_preflight(time.time() - pauses.silence_s - event.inference_duration)
        elif change is Change.RESUMED:
            self._resume()
        elif change is Change.DROPPED:
            self._resume()
            self._pauses = None

    def _end(self, event: vad.VADEvent) -> None:
        paused, self._paused, self._pauses = self._paused, False, None
        self._preflight = None
        self._ended = time.time() - event.silence_duration - event.inference_duration
        self._send(stt.SpeechEventType.END_OF_SPEECH, None, self._ended)
        if not paused:
            self._recognition.flush()
        if not self._is_final_due() and self._text.joined() is not None:
            self._send_final()
        else:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(FINAL_WAIT_S, self._send_final)

    def _is_final_due(self) -> bool:
        """Return True if words were spoken that no final transcript covers."""
        return self._text.is_open or (self._spoken and not self._has_interims)

    async def _follow_transcripts(self) -> None:
        async for event in self._recognition:
            if event.type == stt.SpeechEventType.INTERIM_TRANSCRIPT:
                self._has_interims = True
                self._text.add_interim(event.alternatives[0])
                self._changed(is_final=False)
            elif event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
                self._text.add_final(event.alternatives[0])
                self._changed(is_final=True)
            elif event.type == stt.SpeechEventType.END_OF_SPEECH and self._text.is_open:
                self._text.close_segment()
                self._changed(is_final=True)

    def _changed(self, *, is_final: bool) -> None:
        """Send the change that a transcript makes."""
        if is_final and (self._pauses is None or self._pauses.silence_s > 0):
            self._spoken = False
        if self._ended is not None:
            if is_final and self._text.joined() is not None:
                self._send_final()
        elif self._pauses is None:
            if is_final:
                # The VAD found no speech there, or the final came late: words are not lost.
                self._send_final()
        elif not self._paused:
            if (data := self._text.joined()) is not None:
                self._send_open(stt.SpeechEventType.INTERIM_TRANSCRIPT, data)
        elif is_final or self._preflight is None:
            self._send_preflight(time.time() - self._pauses.silence_s)

    def _send_preflight(self, speech_end_time: float) -> None:
        """Let the reply to the text so far begin, unless one to the same words has begun."""
        data = self._text.joined()
        known = (self._preflight, self._continued_at)
        if data is None or any(each is not None and _same(data, each) for each in known):
            return
        if self._parts.preflight.allows(self._session):
            self._preflight = data
            self._send_open(
                stt.SpeechEventType.PREFLIGHT_TRANSCRIPT, replace(data), speech_end_time
            )

    def _resume(self) -> None:
        """Stop the reply to a text that turned out not to be complete."""
        self._paused = False
        self._spoken = True
        if (data := self._preflight) is not None:
            self._preflight, self._continued_at = None, data
            self._retract(data)

    def _send_final(self) -> None:
        """Send the final transcript of the utterance that has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ended, self._ended = self._ended, None
        self._continued_at = None
        data = self._text.take()
        if data is not None:
            self._open_text = None
            self._send(stt.SpeechEventType.FINAL_TRANSCRIPT, data, ended)
        else:
            self._withdraw()

    async def _finish(self) -> None:
        """Send the rest: the input ended, or the recognition failed, before the VAD's end."""
        if not self._event_ch.closed:
            self._send_final()
        self._pauses = None


def _same(one: stt.SpeechData, other: stt.SpeechData) -> bool:
    """Return True if LiveKit takes two texts for the same: case and punctuation apart."""
    words = [re.findall(r"\w+", data.text.casefold()) for data in (one, other)]
    return words[0] == words[1]
