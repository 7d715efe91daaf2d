"""One caller's audio, each utterance of it recognised before its end is certain."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, stt, utils, vad
from livekit.agents.types import NotGivenOr

from ..log import logger
from .eager import EagerStats, Utterance, Verdict, begins_with
from .preflight import preflight_helps

GOES_ON = "\N{MIDLINE HORIZONTAL ELLIPSIS}"
"""Stands behind a text that turned out not to be all, so that LiveKit stops the reply to it.

It does so on an interim transcript whose words differ from the preflight's, case and punctuation
apart. Nobody knows the next words yet, so a mark has to differ, and it must be no punctuation to
Unicode, as the ordinary ellipsis is. On the end of the last word it makes no word more (LiveKit
counts them, ``min_words``). The plain text follows at once: LiveKit commits the last interim text
of a session that is closed before the final one comes, and nobody has said the mark.
"""


class Tally:
    """Where the streams of an adapter count their requests together."""

    def __init__(self) -> None:
        self.stats = EagerStats()


class _Request:
    """A recognition that was asked for before the VAD had declared the end."""

    def __init__(self, audio: rtc.AudioFrame, speech_end_time: float) -> None:
        self.audio = audio
        # When the speech in it ended, as `time.time()` tells it.
        self.speech_end_time = speech_end_time
        # Whether the request was made; a task that is cancelled at once makes none.
        self.begun = False
        # What was handed on as a preflight transcript. None when nothing was.
        self.told: stt.SpeechData | None = None
        # Whether its answer is of no use any more. A cancelled task may have one nevertheless: not
        # every STT lets go of what it has (before Python 3.12 `asyncio.wait_for` doesn't).
        self.given_up = False
        # Its result is None when the request failed. Set as soon as there is one.
        self.task: asyncio.Task[stt.SpeechEvent | None]


class EagerStream(stt.StreamAdapterWrapper):
    """One caller's audio. Three tasks: for the VAD's input, for its events, for a request ahead.

    The VAD's events are followed while a request ahead is under way. Behind the end of an utterance
    they wait, as with LiveKit's own, until its final transcript is out: that keeps the order.
    """

    def __init__(
        self,
        adapter: stt.StreamAdapter,
        *,
        delay_s: float,
        tally: Tally,
        language: NotGivenOr[str],
        conn_options: APIConnectOptions,
    ) -> None:
        super().__init__(
            adapter,
            vad=adapter._vad,
            wrapped_stt=adapter._stt,
            language=language,
            conn_options=conn_options,
        )
        self._delay_s = delay_s
        self._tally = tally
        # Retries would hold the end of speech back; the final recognition has them.
        self._once = replace(conn_options, max_retry=0)
        # What is being said. None between two utterances.
        self._utterance: Utterance | None = None
        # The request whose answer may become the final transcript. None when there is none.
        self._request: _Request | None = None
        # The last text that was handed on. None when it was a final one.
        self._open: stt.SpeechData | None = None

    async def _run(self) -> None:
        vad_stream = self._vad.stream()
        tasks = [
            asyncio.create_task(self._feed(vad_stream), name="speko_eager_feed"),
            asyncio.create_task(self._follow(vad_stream), name="speko_eager_follow"),
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            try:
                await utils.aio.cancel_and_wait(*tasks)
                await self._forget("closed")
            finally:
                await vad_stream.aclose()

    async def _feed(self, vad_stream: vad.VADStream) -> None:
        async for item in self._input_ch:
            if isinstance(item, self._FlushSentinel):
                vad_stream.flush()
            else:
                vad_stream.push_frame(item)
        vad_stream.end_input()

    async def _follow(self, vad_stream: vad.VADStream) -> None:
        async for event in vad_stream:
            if event.type == vad.VADEventType.START_OF_SPEECH:
                await self._begin(event)
            elif event.type == vad.VADEventType.END_OF_SPEECH:
                await self._end(event)
            elif self._utterance is not None:
                await self._hear(self._utterance, event)

    async def _begin(self, event: vad.VADEvent) -> None:
        await self._forget("flushed")
        self._utterance = Utterance(event.frames, delay_s=self._delay_s)
        self._send(stt.SpeechEventType.START_OF_SPEECH)

    async def _hear(self, utterance: Utterance, event: vad.VADEvent) -> None:
        verdict = utterance.hear(event)
        if verdict is Verdict.PAUSED:
            ended = time.time() - utterance.silence_s - event.inference_duration
            request = self._request = _Request(utterance.snapshot(), ended)
            request.task = asyncio.create_task(self._ask(request), name="speko_eager_request")
        elif verdict is Verdict.RESUMED:
            await self._give_up("speech_followed")
        elif verdict is Verdict.FORGOTTEN:
            await self._forget("flushed")

    async def _ask(self, request: _Request) -> stt.SpeechEvent | None:
        request.begun = True
        self._tally.stats = self._tally.stats.begun()
        try:
            answer = await self._recognize(request.audio, self._once)
        except APIError:
            return None  # a fault that lasts is told by the recognition at the end
        heard = _first(answer)
        # Behind the end of the utterance the final transcript follows anyway.
        late = request.given_up or self._utterance is None
        if not late and heard and heard.text.strip() and preflight_helps(self._stt):
            request.told = heard
            # A copy: whoever edits what is handed to him must not edit the final transcript.
            self._send_open(
                stt.SpeechEventType.PREFLIGHT_TRANSCRIPT, replace(heard), request.speech_end_time
            )
        return answer

    async def _end(self, event: vad.VADEvent) -> None:
        self._utterance = None
        ended = time.time() - event.silence_duration - event.inference_duration
        self._send(stt.SpeechEventType.END_OF_SPEECH, None, ended)
        try:
            answer = await self._answer_ahead(event)
            if answer is None:
                audio = utils.merge_frames(event.frames)
                answer = await self._recognize(audio, self._wrapped_stt_conn_options)
            if (heard := _first(answer)) is not None and heard.text:
                self._open = None
                told = answer.speech_end_time
                self._send(
                    stt.SpeechEventType.FINAL_TRANSCRIPT, heard, ended if told is None else told
                )
        finally:
            self._clear()

    async def _answer_ahead(self, event: vad.VADEvent) -> stt.SpeechEvent | None:
        """The answer that there is, or will be. None when the end has to be recognised itself.

        An empty one is an answer: what followed the snapshot is the silence that the VAD heard.
        """
        request = self._request
        if request is None:
            return None
        if not begins_with(event.frames, request.audio):
            await self._give_up("other_audio")
            return None
        # Whoever cancels the wait must not wait for an STT that does not let go.
        await asyncio.wait([request.task])
        return self._settle(request, "final")

    async def _give_up(self, reason: str) -> None:
        """The request ahead, if there is one, is of no use."""
        if (request := self._request) is None:
            return
        request.given_up = True
        if (told := request.told) is not None:
            # First of all: the reply to it must not go on.
            goes_on = replace(told, text=told.text + GOES_ON)
            self._send_open(stt.SpeechEventType.INTERIM_TRANSCRIPT, goes_on)
            self._send_open(stt.SpeechEventType.INTERIM_TRANSCRIPT, told)
        await utils.aio.cancel_and_wait(request.task)
        self._settle(request, reason)

    async def _forget(self, reason: str) -> None:
        """There will be no end of the utterance, if there is one."""
        self._utterance = None
        try:
            await self._give_up(reason)
        finally:
            self._clear()

    def _clear(self) -> None:
        """Take back a text that no final transcript replaces: LiveKit adds it to turns."""
        if self._open is not None:
            nothing = replace(self._open, text="")
            self._open = None
            self._send(stt.SpeechEventType.INTERIM_TRANSCRIPT, nothing)

    def _settle(self, request: _Request, reason: str) -> stt.SpeechEvent | None:
        """Count a request that is over, and return its answer, which `reason` tells the use of.

        None when there is no answer. A bug of the wrapped STT is counted too before it is raised.
        """
        self._request = None
        cancelled = request.task.cancelled()
        error = None if cancelled else request.task.exception()
        answer = None if cancelled or error is not None else request.task.result()
        if answer is None and not (cancelled and request.given_up):
            reason = "failed"
        if request.begun:
            used = reason == "final"
            self._tally.stats = self._tally.stats.settled(used)
            facts = {"used": used, "reason": reason, "audio_s": request.audio.duration}
            logger.debug("eager recognition settled", extra=facts)
        if error is not None:
            raise error
        return answer

    async def _recognize(
        self, audio: rtc.AudioFrame, conn_options: APIConnectOptions
    ) -> stt.SpeechEvent:
        return await self._wrapped_stt.recognize(
            buffer=audio, language=self._language, conn_options=conn_options
        )

    def _send_open(
        self,
        type_: stt.SpeechEventType,
        heard: stt.SpeechData,
        speech_end_time: float | None = None,
    ) -> None:
        """Hand on a text that is not final."""
        self._open = heard
        self._send(type_, heard, speech_end_time)

    def _send(
        self,
        type_: stt.SpeechEventType,
        heard: stt.SpeechData | None = None,
        speech_end_time: float | None = None,
    ) -> None:
        heard_once = [] if heard is None else [heard]
        event = stt.SpeechEvent(type_, alternatives=heard_once, speech_end_time=speech_end_time)
        self._event_ch.send_nowait(event)


def _first(answer: stt.SpeechEvent) -> stt.SpeechData | None:
    return answer.alternatives[0] if answer.alternatives else None
