"""A caller's audio, recognised while it is still being spoken."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from livekit import rtc
from livekit.agents import (
    APIConnectionError,
    APIConnectOptions,
    APIError,
    LanguageCode,
    stt,
    utils,
)
from livekit.agents.types import NOT_GIVEN, TimedString

from .._call import Calls
from .._faults import cause_to_show, to_livekit_error
from .._text import is_speakable
from ..api.recognition import Outcome, Recognition, StreamEvent, StreamOptions
from ..api.reconnects import Bounds
from ..api.stt_messages import Failure, Ready, Transcript
from ..api.timing import Timing
from ..api.types import Route
from ..api.websocket import Sockets
from ..errors import CONNECTION_LOST, SpekoApiError

if TYPE_CHECKING:
    from .stt import SpekoSTT

SAMPLE_RATE_HZ = 16_000
"""Rate at which audio is sent. LiveKit resamples the caller's to it."""

USAGE_INTERVAL_S = 5.0
"""Longest time, in seconds, after which audio that was sent is reported as usage."""


class UsageMeter:
    """Reports the seconds of audio that were sent, at intervals while there are any."""

    def __init__(self, events: utils.aio.Chan[stt.SpeechEvent]) -> None:
        """Report to `events`."""
        self._events = events
        # Bytes that were sent and not reported.
        self._bytes = 0
        # Reports them in a while. None while there are none.
        self._timer: asyncio.TimerHandle | None = None
        # Id of the connection that they were sent on.
        self.request_id = ""

    def add(self, size: int) -> None:
        """Count `size` bytes of audio."""
        self._bytes += size
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(USAGE_INTERVAL_S, self.report)

    def report(self) -> None:
        """Report the usage since the last report."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._bytes:
            seconds, self._bytes = self._bytes / (2 * SAMPLE_RATE_HZ), 0
            self._events.send_nowait(
                stt.SpeechEvent(
                    type=stt.SpeechEventType.RECOGNITION_USAGE,
                    request_id=self.request_id,
                    recognition_usage=stt.RecognitionUsage(audio_duration=seconds),
                )
            )


@dataclass(frozen=True, kw_only=True)
class StreamSettings:
    """The facts about a stream that do not change.

    Attributes:
        language: Language that it was opened with. None for the intent's.
        is_aligned: True if transcripts are expected to have word times.
        bounds: Bounds of the connection care.
    """

    language: str | None
    is_aligned: bool
    bounds: Bounds


class SpekoRecognizeStream(stt.RecognizeStream):
    """One caller's audio over one WebSocket at a time. `SpekoSTT.stream` makes it.

    A connection that drops is made again inside of the stream: no word is lost and none comes
    twice. The stream ends with one error, which LiveKit does not retry, once the service refuses
    for good or no connection lasts. It owns its tasks; `aclose` ends them.
    """

    def __init__(
        self,
        *,
        recognizer: SpekoSTT,
        sockets: Sockets,
        options: StreamOptions,
        settings: StreamSettings,
        calls: Calls,
        conn_options: APIConnectOptions,
    ) -> None:
        """Begin to connect."""
        super().__init__(stt=recognizer, conn_options=conn_options, sample_rate=SAMPLE_RATE_HZ)
        self._settings = settings
        self._calls = calls
        self._usage = UsageMeter(self._event_ch)
        self._recognition = Recognition(
            sockets, options, self, timeout_s=conn_options.timeout, bounds=settings.bounds
        )
        # Times of the connection under way, and its id.
        self._timing = Timing()
        self._request_id = ""
        # True between the first text of a segment and its end.
        self._speaking = False
        # Language of the transcripts of the connection under way.
        self._language = self._language_now()

    def _language_now(self) -> LanguageCode:
        return LanguageCode(self._settings.language or self._recognition.options.intent.language)

    def renew(self, options: StreamOptions) -> None:
        """Use other options, from the end of what is being said."""
        self._recognition.renew(options)

    async def _run(self) -> None:
        try:
            await self._recognition.run()
        except SpekoApiError as fault:
            error = _to_final_error(fault)
            raise error from cause_to_show(fault)
        finally:
            self._end_of_speech()
            self._usage.report()

    def push_frame(self, frame: rtc.AudioFrame) -> None:
        """Push audio to be recognised, int16, mono, at one sample rate."""
        super().push_frame(frame)
        self._forward_input()

    def flush(self) -> None:
        """Ask for the final transcript of the audio so far."""
        super().flush()
        self._forward_input()

    def end_input(self) -> None:
        """Declare that no more audio will be pushed. The stream ends within 2 s then."""
        super().end_input()
        self._recognition.end()

    def _forward_input(self) -> None:
        """Move audio from LiveKit's channel, at once: a task for it costs more than the audio."""
        while not self._input_ch.empty():
            item = self._input_ch.recv_nowait()
            if isinstance(item, rtc.AudioFrame):
                self._recognition.push(item.data.tobytes())
            else:
                self._recognition.flush()

    async def __aenter__(self) -> SpekoRecognizeStream:
        return self

    async def aclose(self) -> None:
        """Close the stream at once. The audio sent so far is still reported as usage."""
        self._input_ch.close()
        await utils.aio.cancel_and_wait(self._task)
        # LiveKit would cancel it before it has seen the last event.
        await asyncio.wait([self._metrics_task])
        await super().aclose()

    def on_event(self, event: StreamEvent) -> None:
        """Take an event of the recognition."""
        if isinstance(event, Transcript):
            self._take_transcript(event)
        elif isinstance(event, Ready):
            self._timing.route = Route(provider=event.provider, model=event.model)
        else:
            self._take_failure(event)

    def _take_failure(self, failure: Failure) -> None:
        body = {"error": failure.message, "code": failure.code}
        text = f"Speko: {failure.message} ({failure.code})"
        self._emit_error(APIError(text, body=body, retryable=True), recoverable=True)

    def _take_transcript(self, transcript: Transcript) -> None:
        # "." and "♪" are what some providers make of noise.
        if is_speakable(transcript.text):
            self._timing.note_output()
            if not self._speaking:
                self._speaking = True
                self._send(stt.SpeechEventType.START_OF_SPEECH)
            if transcript.is_final:
                self._send(stt.SpeechEventType.FINAL_TRANSCRIPT, self._to_speech(transcript))
            elif self._recognition.options.interim_results:
                self._send(stt.SpeechEventType.INTERIM_TRANSCRIPT, self._to_speech(transcript))
        if transcript.is_final:
            self._end_of_speech()
            self._usage.report()

    def _end_of_speech(self) -> None:
        if self._speaking:
            self._speaking = False
            self._send(stt.SpeechEventType.END_OF_SPEECH)

    def _send(self, kind: stt.SpeechEventType, *speech: stt.SpeechData) -> None:
        self._event_ch.send_nowait(
            stt.SpeechEvent(type=kind, request_id=self._request_id, alternatives=list(speech))
        )

    def _to_speech(self, transcript: Transcript) -> stt.SpeechData:
        offset = self.start_time_offset
        speech = stt.SpeechData(
            language=self._language,
            text=transcript.text,
            confidence=transcript.confidence,
        )
        if transcript.words is not None:
            speech.words = [
                TimedString(
                    word.text,
                    start_time=word.start + offset,
                    end_time=word.end + offset,
                    confidence=NOT_GIVEN if word.confidence is None else word.confidence,
                    start_time_offset=offset,
                )
                for word in transcript.words
            ]
            speech.start_time = transcript.words[0].start + offset
            speech.end_time = transcript.words[-1].end + offset
        elif self._settings.is_aligned:
            # LiveKit takes 0 for the beginning of the call.
            speech.start_time = speech.end_time = self._recognition.now_s + offset
        return speech

    def on_sent(self, size: int) -> None:
        """Count audio that was sent."""
        self._usage.add(size)

    def on_attempt(self) -> None:
        """Begin the report of a connection."""
        self._timing = Timing()
        self._request_id = self._usage.request_id = utils.shortuuid("speko_stt_")

    def on_connected(self) -> None:
        """Report how long it took to connect. Its options are the stream's by now."""
        self._language = self._language_now()
        self._timing.note_connection(reused=False)
        self._timing.headers_s = self._timing.connected_s
        self._report_connection_acquired(self._timing.elapsed_s, False)

    def on_closed(self, outcome: Outcome) -> None:
        """Report the connection as LiveKit's event ``route``."""
        self._usage.report()
        self._calls.report(self._request_id, outcome, self._timing)


def _to_final_error(fault: SpekoApiError) -> APIError:
    """Return the error that ends a stream: it made its own attempts, so LiveKit makes none."""
    if fault.code == CONNECTION_LOST:
        return APIConnectionError(str(fault), retryable=False)
    error = to_livekit_error(fault)
    assert error is not None, "a SpekoApiError always has one"
    error.retryable = False
    return error
