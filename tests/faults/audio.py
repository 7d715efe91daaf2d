"""The rows of synthesis that are about the form of the audio."""

from __future__ import annotations

from typing import Any

import numpy as np

from livekit_plugins_speko.testing import Answer
from tests.faults import wav_forms
from tests.faults.answers import End, Raw, closed, endless, in_order, reset, silence
from tests.faults.network import BROKEN, RESET
from tests.faults.rows import ALL, HALF, Row
from tests.faults.stages import AUDIO, JSON, SPEECH, cut
from tests.helpers.support import compressed, int16, pitch, tone, wav

PCM, WAV, MP3 = "audio/pcm;rate=24000", "audio/wav", "audio/mpeg"
CONVERT = {"convert_audio": True}
RATES = (8_000, 16_000, 22_050, 44_100, 48_000)
TONE = tone(0.5)
MALFORMED_AUDIO = "APIError, MALFORMED_AUDIO"
UNSUPPORTED = "APIError, UNSUPPORTED_AUDIO_FORMAT"
WRONG_TYPE = "APIError, UNSUPPORTED_CONTENT_TYPE"
WRONG_RATE = "APIError, SAMPLE_RATE_MISMATCH"
EMPTY = "APIError, EMPTY_AUDIO"
STEREO = "APIError, UNSUPPORTED_CHANNELS"


def alike_decoded(heard: bytes, said: bytes) -> bool:
    """As long, and of the same pitch and loudness: a codec changes the samples."""
    if abs(len(heard) - len(said)) > 0.06 * 48_000:
        return False
    loudness = np.abs(int16(heard)).mean() / np.abs(int16(said)).mean()
    return bool(abs(pitch(heard) - pitch(said)) < 5 and 0.85 < loudness < 1.15)


def alike_resampled(heard: bytes, said: bytes) -> bool:
    """The same samples, but for a little at the ends. One sample off would be three times that."""
    return len(heard) == len(said) and bool(np.abs(int16(heard) - int16(said)).max() < 300)


def _row(fault: str, answer: Answer, **more: Any) -> Row:
    return Row(fault=fault, stage=AUDIO, answer=answer, **more)


def _works(fault: str, audio: bytes, content_type: str, size: int = 777, **more: Any) -> Row:
    return _row(fault, Raw(tuple(cut(audio, size)), content_type), heard=ALL, **more)


def _fails(fault: str, audio: bytes, content_type: str, error: str, **more: Any) -> Row:
    return _row(fault, Raw(tuple(cut(audio, 777)), content_type), error=error, **more)


def audio_rows() -> list[Row]:
    """Every row about the form of the audio."""
    return [
        *_cuts(),
        *_empty(),
        *_wav_rows(),
        *_truncated(),
        *_types(),
        *_rates(),
        _other_provider(),
        *_stereo(),
    ]


def _cuts() -> list[Row]:
    return [
        _works("PCM split at every byte", SPEECH, PCM, size=1),
        _works("PCM split at odd bytes", SPEECH, PCM, size=333),
        _works("PCM with half a sample at its end", SPEECH + b"\1", PCM),
        _works("WAV split at every byte", wav(SPEECH), WAV, size=1),
        _works("WAVs in a row split at every byte", wav(SPEECH[:998]) + wav(SPEECH[998:]), WAV, 1),
    ]


def _empty() -> list[Row]:
    """A provider's fault that another provider does not have."""

    def row(fault: str, audio: bytes, content_type: str) -> Row:
        return _fails(fault, audio, content_type, EMPTY, retried=True)

    return [
        row("empty 200, PCM", b"", PCM),
        row("empty 200 without a type", b"", ""),
        row("one byte of PCM", b"\1", PCM),
        row("empty 200, WAV", b"", WAV),
        row("a WAV without samples", wav(b""), WAV),
        row("empty 200, MP3", b"", MP3),
    ]


def _wav_rows() -> list[Row]:
    played = [_works(f"WAV, {form}", file, WAV) for form, file in wav_forms.PLAYED.items()]
    unsupported = [
        _fails(f"WAV, {form}", file, WAV, UNSUPPORTED)
        for form, file in wav_forms.UNSUPPORTED.items()
    ]
    malformed = [
        _fails(f"WAV, {form}", file, WAV, MALFORMED_AUDIO, retried=True)
        for form, file in wav_forms.MALFORMED.items()
    ]
    converted = [
        _works(
            f"WAV, {form}, convert_audio",
            file,
            WAV,
            said=TONE,
            alike=alike_resampled,
            options=CONVERT,
        )
        for form, file in wav_forms.CONVERTED.items()
    ]
    return [
        *played,
        *converted,
        _tail("WAV, an endless tail", endless(wav_forms.LIST * 100)),
        _tail("WAV, silence after its samples", silence),
        _tail("WAV, reset after its samples", reset),
        *unsupported,
        *malformed,
    ]


def _tail(fault: str, then: End) -> Row:
    return _row(fault, Raw(tuple(cut(wav(SPEECH), 777)), WAV, then=then), heard=ALL)


def _truncated() -> list[Row]:
    """Half of the samples arrived: the retry resumes where they end."""
    one, two = wav(SPEECH), wav(SPEECH[:4_800]) + wav(SPEECH[4_800:])

    def row(fault: str, error: str, then: End, file: bytes = one, content_type: str = WAV) -> Row:
        half = file[: len(file) - len(SPEECH) // 2 + 1]
        answer = Raw(tuple(cut(half, 777)), content_type, then=then, waits=True)
        return _row(fault, answer, error=error, retried=True, heard=HALF)

    return [
        row("WAV, an end before its declared samples", MALFORMED_AUDIO, in_order),
        row("WAVs in a row, an end in the second", MALFORMED_AUDIO, in_order, two),
        row("WAV, reset in the middle of a sample", RESET, reset),
        row("WAV, closed in the middle of a sample", BROKEN, closed),
        row("PCM, closed in the middle of a sample", BROKEN, closed, SPEECH, PCM),
    ]


def _types() -> list[Row]:
    mp3 = compressed(TONE)
    about: dict[str, Any] = {"said": TONE, "alike": alike_decoded}
    return [
        _fails("MP3", mp3, MP3, UNSUPPORTED),
        _works("MP3, convert_audio", mp3, MP3, options=CONVERT, **about),
        _works("MP3 split at every byte, convert_audio", mp3, MP3, 1, options=CONVERT, **about),
        _fails(
            "no MP3 behind its type, convert_audio",
            SPEECH,
            MP3,
            MALFORMED_AUDIO,
            retried=True,
            options=CONVERT,
        ),
        _fails("text/html with status 200", b"<html></html>", "text/html", WRONG_TYPE),
        _works("WAV that is called PCM", wav(SPEECH), PCM),
        _works("WAV without a type", wav(SPEECH), ""),
        _works("audio/L16;rate=24000", SPEECH, "audio/L16;rate=24000"),
        _fails("Ogg that is called PCM", b"OggS" + SPEECH, PCM, UNSUPPORTED),
        _fails("JSON with status 200", b'{"audio": ""}', JSON, WRONG_TYPE),
        _fails("audio without a type", SPEECH, "", WRONG_TYPE),
        _fails("text/html, convert_audio", b"<html>", "text/html", WRONG_TYPE, options=CONVERT),
    ]


def _rates() -> list[Row]:
    rows = []
    for rate in RATES:
        pcm, content_type = tone(0.5, rate=rate), f"audio/pcm;rate={rate}"
        about: dict[str, Any] = {"said": TONE, "alike": alike_resampled, "options": CONVERT}
        same: dict[str, Any] = {"said": pcm, "options": {"sample_rate": rate}}
        rows += [
            _fails(f"PCM at {rate} Hz", pcm, content_type, WRONG_RATE),
            _works(f"PCM at {rate} Hz, convert_audio", pcm, content_type, **about),
            _works(f"PCM at {rate} Hz, sample_rate={rate}", pcm, content_type, **same),
            _fails(f"WAV at {rate} Hz", wav(pcm, rate=rate), WAV, WRONG_RATE),
            _works(f"WAV at {rate} Hz, convert_audio", wav(pcm, rate=rate), WAV, **about),
        ]
    return rows


def _other_provider() -> Row:
    """The retry has another rate, as after a failover, and resumes at the next sample."""
    half = Raw(tuple(cut(TONE[: len(TONE) // 2], 960)), PCM, then=reset, waits=True)
    faster = Raw(tuple(cut(tone(0.5, rate=48_000), 777)), "audio/pcm;rate=48000")
    return _row(
        "reset, the retry is at 48000 Hz, converted",
        half,
        error=RESET,
        retried=True,
        heard=HALF,
        mended=faster,
        said=TONE,
        alike=alike_resampled,
        options=CONVERT,
    )


def _stereo() -> list[Row]:
    pcm = tone(0.5, channels=2)
    pcm_type = f"{PCM};channels=2"
    mixed: dict[str, Any] = {"said": TONE, "options": CONVERT}
    return [
        _fails("stereo PCM", pcm, pcm_type, STEREO),
        _works("stereo PCM, convert_audio", pcm, pcm_type, **mixed),
        _fails("stereo WAV", wav(pcm, channels=2), WAV, STEREO),
        _works("stereo WAV, convert_audio", wav(pcm, channels=2), WAV, **mixed),
    ]
