"""When the audio of a text is read and emitted, and in how many frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import Gate, LocalGateway
from livekit_plugins_speko.tts.emission import AHEAD_S
from tests.helpers.support import tone
from tests.helpers.tts_calls import first_bytes, joined, make_tts, speak, speech

PIECE_S = 0.04
RATE = 24_000


async def pieces(pcm: bytes, every_s: float) -> AsyncIterator[bytes]:
    """Audio in pieces of `PIECE_S`, one each so many seconds."""
    size = round(PIECE_S * RATE) * 2
    for at in range(0, len(pcm), size):
        yield pcm[at : at + size]
        await asyncio.sleep(every_s)


async def test_audio_faster_than_it_is_played_becomes_few_frames(
    gateway: LocalGateway, speko: Speko
) -> None:
    pcm = tone(2.0)
    gateway.synthesize.script(speech(pieces(pcm, PIECE_S / 10)))
    events = await speak(make_tts(speko))
    assert joined(events) == pcm
    first = round(AHEAD_S / 0.02)
    assert len(events) < (first + 2.0 / PIECE_S) * 3 / 4


async def test_audio_as_fast_as_it_is_played_is_not_joined(
    gateway: LocalGateway, speko: Speko
) -> None:
    pcm = tone(0.6)
    gateway.synthesize.script(speech(pieces(pcm, PIECE_S)))
    events = await speak(make_tts(speko))
    assert joined(events) == pcm
    assert max(event.frame.duration for event in events) <= 2 * PIECE_S


@pytest.mark.parametrize("seconds", [0.1, 1.0])
async def test_audio_before_an_outage_is_emitted_at_once(
    gateway: LocalGateway, client: Any, seconds: float
) -> None:
    pcm, gate = tone(seconds), Gate()
    gateway.synthesize.script(speech([pcm, gate, pcm]))
    stream = make_tts(client).synthesize("hello")
    tail = RATE // 100 * 2  # LiveKit holds it back, to mark the last frame
    assert await first_bytes(stream, len(pcm) - tail) == pcm[:-tail]
    gate.open()
    await stream.aclose()
