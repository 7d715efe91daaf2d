"""Streams of the eager adapter, fed by hand, and a VAD that treats every loud window as speech."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, stt, utils, vad

from livekit_plugins_speko.stt.open_text import CONTINUES
from livekit_plugins_speko.stt.stream_adapter import SpekoSTTAdapter
from livekit_plugins_speko.testing._gateway.waiting import Changes, within
from tests.helpers.stt_calls import make_stt
from tests.helpers.support import NO_RETRY, frame, tone

WITHIN_S = 20.0  # long enough for a slow machine, short enough to notice a hang
WINDOW_S = 0.032
WINDOW_BYTES = 1024

START = stt.SpeechEventType.START_OF_SPEECH
PREFLIGHT = stt.SpeechEventType.PREFLIGHT_TRANSCRIPT
INTERIM = stt.SpeechEventType.INTERIM_TRANSCRIPT
END = stt.SpeechEventType.END_OF_SPEECH
FINAL = stt.SpeechEventType.FINAL_TRANSCRIPT


def speech(windows: int) -> bytes:
    """Something loud, for so many windows of 32 ms."""
    return tone(windows * WINDOW_S, rate=16_000)


def silence(windows: int) -> bytes:
    return bytes(windows * WINDOW_BYTES)


SOME_WORDS = speech(20)
PAUSE = silence(8)
"""Long enough for an early request, too short for an end."""
REST = silence(12)
"""Silence that ends the utterance after a `PAUSE`."""


def window(
    *, probability: float, silence_s: float = 0.0, speaking: bool = True, pcm: bytes = b""
) -> vad.VADEvent:
    """An INFERENCE_DONE event; `silence_s` is what had accumulated before it."""
    return vad.VADEvent(
        type=vad.VADEventType.INFERENCE_DONE,
        samples_index=0,
        timestamp=0.0,
        speech_duration=0.0,
        silence_duration=0.0,
        frames=[frame(pcm or speech(1))],
        probability=probability,
        speaking=speaking,
        raw_accumulated_silence=silence_s,
    )


class LoudnessVAD(vad.VAD):
    """Takes each window that isn't all zeros for speech. Its events are like Silero's."""

    def __init__(self, *, max_windows: int = 1000) -> None:
        """Keep so much of an utterance."""
        super().__init__(capabilities=vad.VADCapabilities(update_interval=WINDOW_S))
        self.max_windows = max_windows
        self.streams: list[LoudnessStream] = []

    def stream(self) -> LoudnessStream:
        self.streams.append(LoudnessStream(self))
        return self.streams[-1]


class LoudnessStream(vad.VADStream):
    _vad: LoudnessVAD

    def __init__(self, vad: LoudnessVAD) -> None:
        self._reset()
        super().__init__(vad)

    @property
    def closed(self) -> bool:
        return self._task.done() and self._metrics_task.done()

    def _reset(self) -> None:
        # The windows of the utterance; None between two.
        self._utterance: list[rtc.AudioFrame] | None = None
        self._silence_s = 0.0

    async def _main_task(self) -> None:
        async for item in self._input_ch:
            if isinstance(item, rtc.AudioFrame):
                self._infer(item)
            else:
                self._reset()

    def _infer(self, frame: rtc.AudioFrame) -> None:
        loud = any(bytes(frame.data))
        speaking = self._utterance is not None
        event = window(probability=0.9 if loud else 0.05, silence_s=self._silence_s)
        event.frames, event.speaking = [frame], speaking
        self._event_ch.send_nowait(event)
        self._silence_s = 0.0 if loud else self._silence_s + WINDOW_S
        if self._utterance is None and loud:
            self._utterance = [frame]
            self._send(vad.VADEventType.START_OF_SPEECH)
        elif self._utterance is not None:
            if len(self._utterance) < self._vad.max_windows:
                self._utterance.append(frame)
            if self._silence_s >= 0.55:
                self._send(vad.VADEventType.END_OF_SPEECH)
                self._utterance = None

    def begin_again(self) -> None:
        """Report the beginning of an utterance, regardless of earlier events."""
        self._send(vad.VADEventType.START_OF_SPEECH)

    def _send(self, type_: vad.VADEventType) -> None:
        silence_s = self._silence_s if type_ is vad.VADEventType.END_OF_SPEECH else 0.0
        merged = utils.merge_frames(self._utterance or [])
        self._event_ch.send_nowait(vad.VADEvent(type_, 0, 0.0, 0.0, silence_s, [merged]))


class Listener:
    """A stream that is read all the time.

    Attributes:
        events: What has come out of it, in order.
        failure: What ended it, if that was an error.
        reading: The task that reads it, until it is over.
    """

    def __init__(self, stream: stt.RecognizeStream) -> None:
        self.stream = stream
        self.events: list[stt.SpeechEvent] = []
        self.failure: APIError | None = None
        self._changes = Changes()
        self.reading = asyncio.create_task(self._read())

    @property
    def summary(self) -> list[stt.SpeechEventType | tuple[stt.SpeechEventType, str]]:
        """The types of the events, those of transcripts with the text."""
        return [
            (each.type, each.alternatives[0].text) if each.alternatives else each.type
            for each in self.events
        ]

    def push(self, *pcm: bytes) -> None:
        """Push audio, window by window."""
        whole = b"".join(pcm)
        for at in range(0, len(whole), WINDOW_BYTES):
            self.stream.push_frame(frame(whole[at : at + WINDOW_BYTES]))

    async def until(self, type_: stt.SpeechEventType, times: int = 1) -> stt.SpeechEvent:
        """Wait for an event, and return it."""

        def found() -> list[stt.SpeechEvent]:
            return [each for each in self.events if each.type is type_]

        await within(self._changes.until(lambda: len(found()) >= times), WITHIN_S, type_.value)
        return found()[times - 1]

    async def until_preflight(self, times: int = 1) -> stt.SpeechEvent:
        """Say something and pause until it is recognised."""
        self.push(SOME_WORDS, PAUSE)
        return await self.until(PREFLIGHT, times)

    async def until_pause(self, type_: stt.SpeechEventType) -> stt.SpeechEvent:
        """Pause, and wait for an event."""
        self.push(PAUSE)
        return await self.until(type_)

    async def over(self) -> None:
        """End the input, and wait for the remaining events."""
        self.stream.end_input()
        await self.ended()

    async def ended(self) -> None:
        await within(asyncio.shield(self.reading), WITHIN_S, "the stream's end")

    async def _read(self) -> None:
        try:
            async for event in self.stream:
                self.events.append(event)
                self._changes.notify()
        except APIError as error:
            self.failure = error


@asynccontextmanager
async def listening(
    adapter: stt.StreamAdapter, conn_options: APIConnectOptions = NO_RETRY, **options: Any
) -> AsyncIterator[Listener]:
    """A stream that is read all the time, and closed in the end."""
    async with adapter.stream(conn_options=conn_options, **options) as stream:
        listener = Listener(stream)
        try:
            yield listener
        finally:
            await stream.aclose()
            await listener.reading


def make_adapter(
    speko: Any, found: vad.VAD | None = None, *, eager: bool = True, **options: Any
) -> SpekoSTTAdapter:
    voice = LoudnessVAD() if found is None else found
    return SpekoSTTAdapter(stt=make_stt(speko), vad=voice, eager=eager, **options)


def retracted(text: str) -> list[tuple[stt.SpeechEventType, str]]:
    """The events that retract a preflight transcript: the mark does not stay."""
    return [(INTERIM, text + CONTINUES), (INTERIM, text)]


def counts(adapter: SpekoSTTAdapter) -> tuple[int, int, int]:
    stats = adapter.eager_stats
    return stats.requests, stats.used, stats.wasted
