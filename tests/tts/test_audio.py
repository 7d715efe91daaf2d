"""Text-to-speech: the audio of a call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import Gate, LocalGateway
from tests.helpers.support import NO_RETRY, compressed, pitch, shown, streamed, tone, wav
from tests.helpers.tts_calls import PCM, first_bytes, joined, make_tts, speak, speech


@pytest.mark.parametrize("convert_audio", [False, True])
@pytest.mark.parametrize(
    ("audio", "content_type"),
    [
        (PCM, "audio/pcm;rate=24000"),
        (PCM, "Audio/PCM; Rate=24000"),
        (PCM, "audio/pcm"),
        (PCM + b"\1", "audio/pcm;rate=24000"),
        (wav(PCM), "audio/wav"),
        (wav(PCM), "audio/x-wav"),
        (streamed(wav(PCM), 0), "audio/wav"),
        (streamed(wav(PCM), 0xFFFFFFFF), "audio/wav"),
    ],
    ids=shown,
)
async def test_mono_audio_at_its_rate_is_played_byte_for_byte(
    gateway: LocalGateway, speko: Speko, audio: bytes, content_type: str, convert_audio: bool
) -> None:
    gateway.synthesize.script(speech(audio, content_type, chunk_bytes=777))
    events = await speak(make_tts(speko, convert_audio=convert_audio))
    assert joined(events) == PCM


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
async def test_first_frames_are_short_and_the_last_one_is_final(
    gateway: LocalGateway, speko: Speko, rate: int
) -> None:
    pcm = tone(0.3, rate=rate)
    gateway.synthesize.script(speech(pcm, f"audio/pcm;rate={rate}"))
    events = await speak(make_tts(speko, sample_rate=rate))
    assert joined(events) == pcm
    assert max(event.frame.duration for event in events[:10]) <= 0.020
    assert max(event.frame.duration for event in events) <= 0.100
    assert [event.is_final for event in events] == [False] * (len(events) - 1) + [True]
    assert {(event.frame.sample_rate, event.frame.num_channels) for event in events} == {(rate, 1)}
    assert len({event.request_id for event in events}) == 1


@pytest.mark.parametrize(
    ("content_type", "start"),
    [
        ("audio/pcm;rate=24000", PCM[:9600]),
        ("audio/wav", streamed(wav(PCM[:9600]), 0xFFFFFFFF)),
    ],
    ids=shown,
)
async def test_audio_is_forwarded_before_the_rest_arrives(
    gateway: LocalGateway, client: Any, content_type: str, start: bytes
) -> None:
    gate = Gate()
    gateway.synthesize.script(speech([start, gate, PCM[9600:]], content_type))
    async with make_tts(client).synthesize("Hello.", conn_options=NO_RETRY) as stream:
        assert await first_bytes(stream, 9600) == PCM[:9600]
        await gate.reached()
        gate.open()
        assert joined([event async for event in stream]) == PCM[9600:]


@pytest.mark.parametrize(
    ("content_type", "audio"),
    [
        ("audio/mpeg", compressed(tone(1.0))),
        ("audio/pcm;rate=48000", tone(1.0, rate=48_000)),
        ("audio/pcm;rate=24000;channels=2", tone(1.0, channels=2)),
    ],
    ids=shown,
)
async def test_converted_audio_is_forwarded_before_the_rest_arrives(
    gateway: LocalGateway, speko: Speko, content_type: str, audio: bytes
) -> None:
    gate, half = Gate(), len(audio) // 2
    gateway.synthesize.script(speech([audio[:half], gate, audio[half:]], content_type))
    voice = make_tts(speko, convert_audio=True)
    async with voice.synthesize("Hello.", conn_options=NO_RETRY) as stream:
        assert await first_bytes(stream, 2 * 24_000 // 5)
        await gate.reached()
        gate.open()
        assert [event async for event in stream][-1].is_final


@pytest.mark.parametrize(
    ("content_type", "audio_format"),
    [
        ("application/octet-stream", "audio/pcm;rate=24000"),
        ("audio/pcm;rate=16000", "audio/pcm;rate=24000"),
        ("audio/mpeg", "audio/pcm"),
        ("audio/pcm;rate=24000", ""),
    ],
)
async def test_format_header_wins_over_the_content_type(
    gateway: LocalGateway, speko: Speko, content_type: str, audio_format: str
) -> None:
    gateway.synthesize.script(speech(PCM, content_type, audio_format=audio_format))
    assert joined(await speak(make_tts(speko))) == PCM


@pytest.mark.parametrize(
    ("audio", "content_type"),
    [
        (tone(0.5, rate=16_000), "audio/pcm;rate=16000"),
        (wav(tone(0.5, rate=48_000), rate=48_000), "audio/wav"),
        (wav(tone(0.5, channels=2), channels=2), "audio/wav"),
        (wav(tone(0.5, rate=8_000, channels=2), rate=8_000, channels=2), "audio/x-wav"),
        (compressed(tone(0.5)), "audio/mpeg"),
        (compressed(tone(0.5, rate=44_100), rate=44_100), "audio/mpeg"),
    ],
    ids=shown,
)
async def test_convert_audio_converts_other_audio(
    gateway: LocalGateway, speko: Speko, audio: bytes, content_type: str
) -> None:
    gateway.synthesize.script(speech(audio, content_type, chunk_bytes=777))
    events = await speak(make_tts(speko, convert_audio=True))
    assert {(event.frame.sample_rate, event.frame.num_channels) for event in events} == {
        (24_000, 1)
    }
    assert max(event.frame.duration for event in events) <= 0.100
    assert events[-1].is_final
    pcm = joined(events)
    assert len(pcm) / 2 / 24_000 == pytest.approx(0.5, abs=0.06)
    assert pitch(pcm) == pytest.approx(440, abs=3)


async def test_audio_continues_after_a_failover(gateway: LocalGateway, speko: Speko) -> None:
    gateway.synthesize.script(
        speech(), speech(tone(0.5, rate=16_000), "audio/pcm;rate=16000"), speech()
    )
    voice = make_tts(speko, convert_audio=True)
    lengths = [len(joined(await speak(voice))) for _ in range(3)]
    assert lengths == [len(PCM), pytest.approx(len(PCM), abs=48), len(PCM)]


async def test_sessions_share_one_tts_and_its_connection(
    gateway: LocalGateway, speko: Speko
) -> None:
    gates, voice = (Gate(), Gate()), make_tts(speko)
    parts = [(PCM[:1000], PCM[1000:]), (PCM[:3000], PCM[3000:])]
    gateway.synthesize.script(
        *[speech([a, gate, b]) for gate, (a, b) in zip(gates, parts, strict=True)]
    )
    calls = [asyncio.create_task(speak(voice, text)) for text in ("One.", "Two.")]
    for gate in gates:
        await gate.reached()
    for gate in gates:
        gate.open()
    assert [joined(await call)[: len(PCM)] for call in calls] == [PCM, PCM]
    gateway.synthesize.script(speech())
    await speak(voice)
    assert gateway.open_connections == 2
