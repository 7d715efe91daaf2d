"""Text-to-speech: audio that is refused, empty or malformed."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from livekit.agents import APIError

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import Gate, LocalGateway
from tests.helpers.support import compressed, shown, wav
from tests.helpers.tts_calls import (
    PCM,
    adapter_error,
    assert_given_up,
    assert_retried,
    joined,
    make_tts,
    speak,
    speech,
)

MISMATCH = (
    "SpekoTTS: provider returned audio at 16000 Hz but the TTS was configured for 24000 Hz. "
    "Either set sample_rate=16000 on SpekoTTS, pin the Speko router to a provider that matches "
    "the expected rate, or pass convert_audio=True."
)
STEREO = (
    "SpekoTTS: expected mono audio (1 channel), got 2 channels. Pin the Speko router to a "
    "provider that sends mono, or pass convert_audio=True."
)
COMPRESSED = (
    "SpekoTTS: acme returned audio/mpeg, which is played only after decoding. Pass "
    "convert_audio=True, or pin the Speko router to a provider that sends PCM."
)
UNKNOWN_TYPE = (
    "SpekoTTS: acme returned text/html, which is no audio that SpekoTTS knows. Pin the Speko "
    "router to another provider (constraints={'allowedProviders': {'tts': [...]}})."
)
EMPTY = "SpekoTTS: provider returned empty audio"


async def test_rate_in_the_format_header_is_trusted(gateway: LocalGateway, speko: Speko) -> None:
    mistaken = speech(PCM, "audio/pcm;rate=24000", audio_format="audio/pcm;rate=16000")
    error = await assert_given_up(gateway, make_tts(speko), mistaken)
    assert adapter_error(error) == (MISMATCH, "SAMPLE_RATE_MISMATCH")


@pytest.mark.parametrize(
    ("audio", "content_type", "text", "code"),
    [
        (PCM, "audio/pcm;rate=16000", MISMATCH, "SAMPLE_RATE_MISMATCH"),
        (wav(PCM, rate=16_000), "audio/wav", MISMATCH, "SAMPLE_RATE_MISMATCH"),
        (wav(PCM, channels=2), "audio/wav", STEREO, "UNSUPPORTED_CHANNELS"),
        (compressed(PCM), "audio/mpeg", COMPRESSED, "UNSUPPORTED_AUDIO_FORMAT"),
        (b"<html>", "text/html; charset=utf-8", UNKNOWN_TYPE, "UNSUPPORTED_CONTENT_TYPE"),
    ],
    ids=shown,
)
async def test_unplayable_audio_is_refused_with_a_remedy(
    gateway: LocalGateway, speko: Speko, audio: bytes, content_type: str, text: str, code: str
) -> None:
    error = await assert_given_up(gateway, make_tts(speko), speech(audio, content_type))
    assert adapter_error(error) == (text, code)
    assert error.body == {"code": code}


@pytest.mark.parametrize("content_type", ["text/html", "audio/mpeg", "audio/pcm;rate=16000"])
async def test_refused_audio_frees_its_connection_at_once(
    gateway: LocalGateway, client: Any, content_type: str
) -> None:
    gc.disable()  # A connection that is closed because its last reference went would pass.
    try:
        await assert_given_up(gateway, make_tts(client), speech([PCM, Gate()], content_type))
        await gateway.idle(connections=0, within_s=3)
    finally:
        gc.enable()


async def test_remedy_for_a_wrong_rate_works(gateway: LocalGateway, speko: Speko) -> None:
    gateway.synthesize.script(speech(PCM, "audio/pcm;rate=16000"))
    assert joined(await speak(make_tts(speko, sample_rate=16_000))) == PCM


async def test_unknown_type_is_refused_even_with_convert_audio(
    gateway: LocalGateway, speko: Speko
) -> None:
    voice = make_tts(speko, convert_audio=True)
    error = await assert_given_up(gateway, voice, speech(b"<html>", "text/html"))
    assert adapter_error(error) == (UNKNOWN_TYPE, "UNSUPPORTED_CONTENT_TYPE")


@pytest.mark.parametrize(
    ("audio", "content_type", "convert_audio"),
    [
        (b"", "audio/pcm;rate=24000", False),
        (b"", "audio/pcm;rate=24000", True),
        (b"\1", "audio/pcm;rate=24000", False),
        (b"", "audio/wav", False),
        (b"", "audio/wav", True),
        (wav(b""), "audio/wav", False),
        (b"", "audio/pcm;rate=16000", False),
        (b"", "audio/mpeg", False),
        (b"", "audio/mpeg", True),
        (b"", "application/octet-stream", False),
    ],
    ids=shown,
)
async def test_empty_audio_is_retried(
    gateway: LocalGateway, speko: Speko, audio: bytes, content_type: str, convert_audio: bool
) -> None:
    voice = make_tts(speko, convert_audio=convert_audio)
    error = await assert_retried(gateway, voice, speech(audio, content_type))
    assert adapter_error(error) == (EMPTY, "EMPTY_AUDIO")


async def test_empty_audio_without_a_retry_is_a_specific_error(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.synthesize.script(speech(b""))
    with pytest.raises(APIError) as raised:
        await speak(make_tts(client))
    assert adapter_error(raised.value) == (EMPTY, "EMPTY_AUDIO")


@pytest.mark.parametrize(
    ("audio", "text"),
    [
        (wav(PCM)[:-6000], "SpekoAdapter: malformed WAV: it holds 18000 bytes of the 24000"),
        (wav(PCM)[:20], "SpekoAdapter: malformed WAV: it ends after 20 bytes"),
        (b"<html>", "SpekoAdapter: malformed WAV: it begins with b'<html>'"),
    ],
    ids=shown,
)
async def test_malformed_wav_is_retried(
    gateway: LocalGateway, speko: Speko, audio: bytes, text: str
) -> None:
    error = await assert_retried(gateway, make_tts(speko), speech(audio, "audio/wav"))
    found, code = adapter_error(error)
    assert found.startswith(text)
    assert code == "MALFORMED_AUDIO"


async def test_compressed_audio_that_cannot_be_decoded_is_retried(
    gateway: LocalGateway, speko: Speko
) -> None:
    voice = make_tts(speko, convert_audio=True)
    error = await assert_retried(gateway, voice, speech(b"<html>" * 99, "audio/mpeg"))
    assert adapter_error(error) == (
        "SpekoTTS: acme returned audio/mpeg that can't be decoded.",
        "MALFORMED_AUDIO",
    )
