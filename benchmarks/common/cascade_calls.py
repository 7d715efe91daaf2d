"""Whole sessions with an STT, an LLM and a TTS, on the line of `voice_line`.

The STT takes whole utterances, or streams.
"""

from __future__ import annotations

from typing import Any

import aiohttp
from livekit.agents import vad
from livekit.plugins import openai

from benchmarks.common.callers import openai_parts
from benchmarks.common.energy_vad import EnergyVAD
from benchmarks.common.gateway import API_KEY, INTENT
from benchmarks.common.voice_calls import SessionCall
from benchmarks.common.voice_line import RATE_HZ, Microphone, PlainLoudspeaker, Script
from livekit_plugins_speko import Speko, create_speko_components


class CascadeCall(SessionCall):
    """A session whose turns end by its VAD."""

    # The rate at which its room hands it the caller's audio: LiveKit's default.
    rate_hz = RATE_HZ

    def __init__(self, detector: vad.VAD, **parts: Any) -> None:
        super().__init__(
            parts,
            detector,
            turn_detection="vad",
            loudspeaker=PlainLoudspeaker(),
            microphone=Microphone(self.rate_hz),
        )

    def script(self, at: int) -> Script:
        """As with a voice model, with the time that a VAD and three requests take."""
        first_s, second_s = (ended_s - began_s for began_s, ended_s in super().script(at).speech)
        return Script(8.0, ((0.2, 0.2 + first_s), (3.5, 3.5 + second_s)))


class SpekoCascade(CascadeCall):
    """This plugin's components."""

    name = "speko, cascade"
    # How its STT works.
    stt_options: dict[str, Any] = {}

    def __init__(self, url: str, detector: vad.VAD | None = None) -> None:
        self._speko = Speko(base_url=url, api_key=API_KEY)
        detector = detector or EnergyVAD()
        self._components = create_speko_components(
            speko=self._speko, vad=detector, intent=INTENT, stt_options=self.stt_options
        )
        parts = self._components
        super().__init__(detector, stt=parts.stt, llm=parts.llm, tts=parts.tts)

    async def aclose(self) -> None:
        await super().aclose()
        await self._components.aclose()
        await self._speko.aclose()


class OpenAICascade(CascadeCall):
    """livekit-plugins-openai, with LiveKit's adapters."""

    name = "openai plugin, cascade"

    def __init__(self, url: str, detector: vad.VAD | None = None) -> None:
        recognizer, model, voice = openai_parts(url)
        self._closing = (recognizer, model, voice)
        super().__init__(detector or EnergyVAD(), stt=recognizer, llm=model, tts=voice)

    async def aclose(self) -> None:
        await super().aclose()
        for part in self._closing:
            await part.aclose()


class SpekoStreaming(SpekoCascade):
    """This plugin's components, with recognition that streams."""

    name = "speko, streaming"
    stt_options = {"streaming": True}


class SpekoStreamingAt16kHz(SpekoStreaming):
    """The same in a room that hands over audio at the rate of the wire: nothing is resampled."""

    name = "speko, streaming, 16 kHz"
    rate_hz = 16_000


class OpenAIStreaming(CascadeCall):
    """livekit-plugins-openai with its transcription in real time, which ends segments itself."""

    name = "openai plugin, streaming"

    def __init__(self, url: str, detector: vad.VAD | None = None) -> None:
        _, model, voice = openai_parts(url)
        recognizer = openai.STT(base_url=f"{url}/v1", api_key=API_KEY, use_realtime=True)
        # It would take a job's: one for all calls of the process, of 50 connections at most.
        self._http = recognizer._session = aiohttp.ClientSession()
        self._closing = (recognizer, model, voice)
        super().__init__(detector or EnergyVAD(), stt=recognizer, llm=model, tts=voice)

    async def aclose(self) -> None:
        await super().aclose()
        for part in self._closing:
            await part.aclose()
        await self._http.close()


CASCADES: dict[str, type[CascadeCall]] = {
    each.name: each
    for each in (
        SpekoCascade,
        OpenAICascade,
        SpekoStreaming,
        SpekoStreamingAt16kHz,
        OpenAIStreaming,
    )
}
