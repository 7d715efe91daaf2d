"""One caller's audio, each utterance of it recognised before its end is certain."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, stt, utils, vad
from livekit.agents.types import NotGivenOr

from .._aio import close_all, until_done
from ..log import logger
from .eager import Change, EagerStats, Utterance, begins_with
from .open_text import OpenTextStream
from .preflight import PreflightRule


class RequestCounter:
    """Request counter shared by an adapter's streams."""

    def __init__(self) -> None:
        self.stats = EagerStats()


@dataclass(frozen=True, kw_only=True)
class EagerParts:
    """The parts of an adapter that each of its streams uses.

    Attributes:
        recognizer: Recognises one utterance a request.
        detector: Cuts the utterances out.
        delay_s: Silence before a request ahead, in seconds.
        counter: Counts the requests ahead.
        preflight: When preflight transcripts are forwarded.
    """

    recognizer: stt.STT[Any]
    detector: vad.VAD
    delay_s: float
    counter: RequestCounter
    preflight: PreflightRule


class _Request:
    """A recognition that was requested before the VAD had declared the end."""

    def __init__(self, audio: rtc.AudioFrame, speech_end_time: float) -> None:
        self.audio = audio
        # When the speech in it ended, on the clock of `time.time()`.
        self.speech_end_time = speech_end_time
        # True once the request was made; a task that is cancelled at once makes none.
        self.begun = False
        # The text that was forwarded as a preflight transcript. None when there was none.
        self.preflight: stt.SpeechData | None = None
        # True when its response is of no use any more. A cancelled task may have one nevertheless:
        # some STTs finish all the same (before Python 3.12 `asyncio.wait_for` lets them).
        self.given_up = False
        # Its result is None when the request failed. Set right after construction.
        self.task: asyncio.Task[stt.SpeechEvent | None]


class EagerStream(OpenTextStream):
    """One caller's audio. Three tasks: for the VAD's input, for its events, for a request ahead.

    The VAD's events are followed while a request ahead is under way. After the end of an utterance
    they wait, as in LiveKit's own stream, until its final transcript is out: that keeps the order.
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
        self._spoken_language = language
        # Of the recognition at the end.
        self._final_options = conn_options
        # Of one ahead. Its retries would delay the end of speech.
        self._ahead_options = replace(conn_options, max_retry=0)
        # What is being said. None between two utterances.
        self._utterance: Utterance | None = None
        # The request whose response may become the final transcript. None when there is none.
        self._request: _Request | None = None

    async def _run(self) -> None:
        vad_stream = self._parts.detector.stream()
        tasks = [
            asyncio.create_task(self._feed(vad_stream), name="speko_eager_feed"),
            asyncio.create_task(self._follow(vad_stream), name="speko_eager_follow"),
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            await close_all(
                partial(utils.aio.cancel_and_wait, *tasks),
                partial(self._drop_utterance, "closed"),
                vad_stream.aclose,
            )

    async def _feed(self, vad_stream: vad.VADStream) -> None:
        async for item in self._input_ch:
            if isinstance(item, self._FlushSentinel):
                self._last_words.flushed()
                vad_stream.flush()
            else:
                self._last_words.pushed(item, time.monotonic())
                vad_stream.push_frame(item)
        vad_stream.end_input()

    async def _follow(self, vad_stream: vad.VADStream) -> None:
        async for event in vad_stream:
            if event.type == vad.VADEventType.START_OF_SPEECH:
                await self._begin(event)
            elif event.type == vad.VADEventType.END_OF_SPEECH:
                await self._end(event)
            elif self._utterance is not None:
                await self._continue(self._utterance, event)
            else:
                self._answer_last_words(event)

    async def _begin(self, event: vad.VADEvent) -> None:
        await self._drop_utterance("flushed")
        self._utterance = Utterance(event.frames, delay_s=self._parts.delay_s)
        self._send(stt.SpeechEventType.START_OF_SPEECH)

    async def _continue(self, utterance: Utterance, event: vad.VADEvent) -> None:
        change = utterance.add(event)
        if change is Change.PAUSED:
            ended = time.time() - utterance.silence_s - event.inference_duration
            request = self._request = _Request(utterance.snapshot(), ended)
            task = self._recognize_ahead(request)
            request.task = asyncio.create_task(task, name="speko_eager_request")
        elif change is Change.RESUMED:
            await self._give_up("speech_followed")
        elif change is Change.DROPPED:
            await self._drop_utterance("flushed")

    async def _recognize_ahead(self, request: _Request) -> stt.SpeechEvent | None:
        """Recognise a snapshot, and forward its text while that is of use."""
        request.begun = True
        self._parts.counter.stats = self._parts.counter.stats.begun()
        try:
            response = await self._recognize(request.audio, self._ahead_options)
        except APIError:
            return None  # a fault that lasts is reported by the recognition at the end
        data = _best(response)
        # After the end of the utterance the final transcript follows anyway.
        late = request.given_up or self._utterance is None
        if late or data is None or not data.text.strip():
            return response
        if self._parts.preflight.allows(self._session):
            request.preflight = data
            # A copy: a receiver that edits its transcript must not edit the final one.
            self._send_open(
                stt.SpeechEventType.PREFLIGHT_TRANSCRIPT, replace(data), request.speech_end_time
            )
        return response

    async def _end(self, event: vad.VADEvent) -> None:
        self._utterance = None
        ended = time.time() - event.silence_duration - event.inference_duration
        self._send(stt.SpeechEventType.END_OF_SPEECH, None, ended)
        try:
            response = await self._response_ahead(event)
            if response is None:
                audio = utils.merge_frames(event.frames)
                response = await self._recognize(audio, self._final_options)
            if (data := _best(response)) is not None and data.text:
                self._open_text = None
                if response.speech_end_time is not None:
                    ended = response.speech_end_time
                self._send(stt.SpeechEventType.FINAL_TRANSCRIPT, data, ended)
        finally:
            self._withdraw()

    async def _response_ahead(self, event: vad.VADEvent) -> stt.SpeechEvent | None:
        """Return the response to the request ahead. None when the end needs a request of its own.

        An empty one is a response: what followed the snapshot is silence to the VAD.
        """
        request = self._request
        if request is None:
            return None
        if not begins_with(event.frames, request.audio):
            await self._give_up("other_audio")
            return None
        # Awaiting the task itself, an STT that ignores its cancellation would swallow this one's.
        await asyncio.wait([request.task])
        return self._settle(request, "final")

    async def _give_up(self, reason: str) -> None:
        """Cancel the request ahead, if there is one, and take back the text that it gave."""
        if (request := self._request) is None:
            return
        request.given_up = True
        if (data := request.preflight) is not None:
            # First of all: the reply to it must not continue.
            self._retract(data)
        request.task.cancel()
        try:
            await until_done(request.task)
        finally:
            self._settle(request, reason)

    async def _drop_utterance(self, reason: str) -> None:
        """Drop an utterance whose end will not be declared, if there is one."""
        self._utterance = None
        try:
            await self._give_up(reason)
        finally:
            self._withdraw()

    def _settle(self, request: _Request, reason: str) -> stt.SpeechEvent | None:
        """Count a request that is over, and return its response; `reason` says how it ended.

        None when there is no response. A bug of the wrapped STT is counted before it is raised.
        """
        self._request = None
        cancelled = request.task.cancelled()
        error = None if cancelled else request.task.exception()
        response = None if cancelled or error is not None else request.task.result()
        if response is None and not (cancelled and request.given_up):
            reason = "failed"
        if request.begun:
            used = reason == "final"
            self._parts.counter.stats = self._parts.counter.stats.settled(used)
            facts = {"used": used, "reason": reason, "audio_s": request.audio.duration}
            logger.debug("eager recognition settled", extra=facts)
        if error is not None:
            raise error
        return response

    async def _recognize(
        self, audio: rtc.AudioFrame, conn_options: APIConnectOptions
    ) -> stt.SpeechEvent:
        return await self._parts.recognizer.recognize(
            buffer=audio, language=self._spoken_language, conn_options=conn_options
        )


def _best(response: stt.SpeechEvent) -> stt.SpeechData | None:
    return response.alternatives[0] if response.alternatives else None
