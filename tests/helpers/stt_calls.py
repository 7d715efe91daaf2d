"""A recognizer, and audio for it."""

from __future__ import annotations

from typing import Any

from livekit.agents import stt

from livekit_plugins_speko import SpekoSTT
from livekit_plugins_speko.testing import LocalGateway, Transcript
from tests.helpers.support import frame, tone

INTENT = {"language": "en-US", "region": "global", "optimize_for": "latency"}
SPEECH = frame(tone(rate=16_000))


def make_stt(speko: Any, **options: Any) -> SpekoSTT:
    return SpekoSTT(**{"speko": speko, "intent": INTENT, **options})


async def keywords_sent(gateway: LocalGateway, recognizer: stt.STT[Any]) -> list[str] | None:
    """The keywords of one more transcription."""
    gateway.transcribe.script(Transcript("hello"))
    await recognizer.recognize(SPEECH)
    options = gateway.requests[-1].stt_options
    return None if options is None else options["keywords"]
