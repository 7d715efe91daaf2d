"""Callers who speak in real time into a recognition that streams, and when its texts come."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from livekit import rtc
from livekit.agents import stt
from livekit.plugins import deepgram

from benchmarks.common.gateway import API_KEY, INTENT
from benchmarks.common.upstream import Upstream, Words, noise
from livekit_plugins_speko import Speko, SpekoSTT

RATE_HZ = 16_000
# A room hands its audio over in frames of this length.
FRAME_S = 0.05
FRAME_SAMPLES = round(RATE_HZ * FRAME_S)
FRAMES_A_WORD = 4
# The caller pauses after so many words, half a word later, when the last interim has come.
WORDS_A_SEGMENT = 10
# For a connection to open.
CONNECT_S = 1.0
# For the last final.
FINAL_S = 2.0


def words(seconds: float) -> Words:
    """Build the upstream's words: each ends within the last frame of its audio."""
    word_s = FRAMES_A_WORD * FRAME_S
    return tuple(
        (word_s * (at + 1) - FRAME_S / 2, f"word{at}") for at in range(int(seconds / word_s))
    )


@dataclass
class Heard:
    """One caller's audio, and what came of it.

    Attributes:
        began_s: When the first frame began, on `time.monotonic`.
        interim_ms: For each interim, milliseconds from the frame that completed its last word, over
            the upstream's delay.
        final_ms: For each final, milliseconds from its flush, over the upstream's delay.
    """

    began_s: float
    interim_ms: list[float] = field(default_factory=list)
    final_ms: list[float] = field(default_factory=list)


class Streamer(ABC):
    """One caller of one plugin."""

    name: str

    def __init__(self) -> None:
        # When each frame was pushed.
        self._pushed: list[float] = []
        # Flushes without their final: when each was.
        self._flushed: deque[float] = deque()
        # Set when every flush has its final.
        self._settled = asyncio.Event()

    @abstractmethod
    def open(self) -> None:
        """Open the stream, whose connection takes a while."""

    @abstractmethod
    def _stream(self) -> stt.RecognizeStream:
        """Return the open stream."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close everything."""

    async def speak(self, seconds: float) -> Heard:
        """Speak for that long, in real time."""
        heard = Heard(time.monotonic())
        reading = asyncio.create_task(self._read(heard))
        samples = noise()
        for frame in range(round(seconds / FRAME_S)):
            due_s = heard.began_s + (frame + 1) * FRAME_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            pcm = samples[2 * frame * FRAME_SAMPLES : 2 * (frame + 1) * FRAME_SAMPLES]
            self._pushed.append(time.monotonic())
            self._stream().push_frame(rtc.AudioFrame(pcm, RATE_HZ, 1, FRAME_SAMPLES))
            self._flush_after(frame)
        await asyncio.wait_for(self._settled.wait(), FINAL_S)
        reading.cancel()
        await asyncio.wait([reading])
        return heard

    def _flush_after(self, frame: int) -> None:
        frames = frame + 1 - FRAMES_A_WORD // 2
        if frames > 0 and frames % (FRAMES_A_WORD * WORDS_A_SEGMENT) == 0:
            self._settled.clear()
            self._flushed.append(time.monotonic())
            self._stream().flush()

    async def _read(self, heard: Heard) -> None:
        upstream = Upstream()
        async for event in self._stream():
            now_s = time.monotonic()
            if event.type is stt.SpeechEventType.INTERIM_TRANSCRIPT:
                word = int(event.alternatives[0].text.split()[-1].removeprefix("word"))
                pushed_s = self._pushed[FRAMES_A_WORD * (word + 1) - 1]
                heard.interim_ms.append(1e3 * (now_s - pushed_s) - upstream.interim_ms)
            elif event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
                flushed_s = self._flushed.popleft()
                heard.final_ms.append(1e3 * (now_s - flushed_s) - upstream.flush_ms)
                if not self._flushed:
                    self._settled.set()


class SpekoStreamer(Streamer):
    """This plugin."""

    name = "speko"

    def __init__(self, url: str) -> None:
        super().__init__()
        self._speko = Speko(base_url=url, api_key=API_KEY)
        self._stt = SpekoSTT(speko=self._speko, intent=INTENT, streaming=True)
        # None before `open`.
        self._open: stt.RecognizeStream | None = None

    def open(self) -> None:
        self._open = self._stt.stream()

    def _stream(self) -> stt.RecognizeStream:
        assert self._open is not None
        return self._open

    async def aclose(self) -> None:
        await self._stream().aclose()
        await self._stt.aclose()
        await self._speko.aclose()


class DeepgramStreamer(Streamer):
    """livekit-plugins-deepgram, which makes a connection of its own wire."""

    name = "deepgram plugin"

    def __init__(self, url: str) -> None:
        super().__init__()
        self._http = aiohttp.ClientSession()
        self._stt: Any = deepgram.STT(
            base_url=f"{url}/v1/listen", api_key=API_KEY, http_session=self._http
        )
        # None before `open`.
        self._open: stt.RecognizeStream | None = None

    def open(self) -> None:
        self._open = self._stt.stream()

    def _stream(self) -> stt.RecognizeStream:
        assert self._open is not None
        return self._open

    async def aclose(self) -> None:
        await self._stream().aclose()
        await self._stt.aclose()
        await self._http.close()
