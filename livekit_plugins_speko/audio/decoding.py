"""Decode the bytes of a response to the PCM that a session plays, while they arrive or whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from livekit.agents.utils import aio
from livekit.agents.utils.codecs import AudioStreamDecoder

from .._aio import Deadline, closing
from ..errors import SpekoAdapterError, SpekoApiError
from .content_type import COMPRESSED_TYPES, PCM_TYPES, WAV_TYPES, media_type, sniff
from .pcm import (
    DEFAULT_SAMPLE_RATE,
    INT16,
    AudioFormat,
    Converter,
    SampleFormat,
    check_mono,
    pcm_format_from_content_type,
)
from .wav import WavHeader, check_wav_encoding
from .wav_reader import WavReader

_CONVERT = "Pass convert_audio=True, or pin the Speko router to a provider that sends 16-bit PCM."


@dataclass(frozen=True)
class Late:
    """Allowance for the rest of a response, after a complete WAV.

    Attributes:
        seconds: How long to wait for another WAV. A provider that sends one for each sentence
            renders the next in a second. A service that keeps back the end of its response gets no
            more: the caller would wait for the next sentence.
        errors: Errors of the response that end the audio there.
    """

    seconds: float = 1.0
    errors: tuple[type[Exception], ...] = (SpekoApiError,)


class SynthesisResult(Protocol):
    """A whole response of ``synthesize()``, as `decode_synthesis_result` reads it."""

    @property
    def audio(self) -> bytes:
        """Every byte of the response."""
        ...

    @property
    def content_type(self) -> str:
        """Its format, such as ``audio/pcm;rate=24000``."""
        ...


async def decode(
    chunks: AsyncIterator[bytes],
    audio: AudioFormat,
    late: Late = Late(),
) -> AsyncIterator[bytes]:
    """Decode a response while it arrives.

    Args:
        chunks: Its bytes, cut anywhere. Those that follow the audio may be left unread.
        audio: Their format, and the one wanted.
        late: What may go wrong after a complete WAV without any harm.

    Yields:
        Whole samples: int16, little-endian, mono, at ``audio.sample_rate`` Hz. Never empty.

    Raises:
        SpekoAdapterError: Nothing came (``EMPTY_AUDIO``, whatever its type) or what came is broken
            (``MALFORMED_AUDIO``), both retried. A type that can't be played
            (``UNSUPPORTED_CONTENT_TYPE``, ``UNSUPPORTED_AUDIO_FORMAT``) or audio that isn't what is
            wanted (``UNSUPPORTED_CHANNELS``, ``SAMPLE_RATE_MISMATCH``), not retried.
    """
    kind, start = await _sniffed(audio.content_type, chunks)
    if not start:
        raise empty_audio()
    rejoined = _rejoined(start, chunks)
    if kind in PCM_TYPES:
        decoding = _decode_pcm(rejoined, audio)
    elif kind in WAV_TYPES:
        decoding = _decode_wav(rejoined, audio, late)
    else:
        _check_compressed(kind, audio)
        decoding = _decode_compressed(rejoined, kind, audio)
    emitted = False
    async with closing(decoding) as decoded:
        async for pcm in decoded:
            if pcm:
                emitted = True
                yield pcm
    if not emitted:
        raise empty_audio()


def decode_synthesis_result(result: SynthesisResult) -> tuple[bytes, int, int]:
    """Decode a whole response of ``synthesize()``.

    Args:
        result: What `Speko.synthesize` (or the official SDK's) returned.

    Returns:
        The samples (int16, little-endian, mono), their rate in Hz (24000 for PCM that doesn't say),
        and the number of channels, which is 1. Several WAVs in a row are joined.

    Raises:
        SpekoAdapterError: ``EMPTY_AUDIO``; ``UNSUPPORTED_CONTENT_TYPE`` for everything but PCM and
            WAV, ``audio/mpeg`` included; ``UNSUPPORTED_CHANNELS`` for more than one channel;
            ``UNSUPPORTED_AUDIO_FORMAT`` for samples that aren't int16, or WAVs of several rates;
            ``MALFORMED_AUDIO`` for a WAV that was cut.
    """
    if not result.audio:
        raise empty_audio()
    kind = sniff(result.content_type, result.audio) or media_type(result.content_type)
    if kind in WAV_TYPES:
        segments = _wav_segments(result.audio)
    elif kind in PCM_TYPES:
        source = pcm_format_from_content_type(result.content_type, DEFAULT_SAMPLE_RATE)
        if source.encoding != INT16:
            raise SpekoAdapterError(
                f"SpekoTTS: expected int16 little-endian samples, got {result.content_type}. "
                "Pin the Speko router to a provider that sends 16-bit PCM.",
                "UNSUPPORTED_AUDIO_FORMAT",
            )
        segments = [(source, result.audio)]
    else:
        raise SpekoAdapterError(
            f"SpekoTTS: expected audio/pcm or audio/wav, got {kind or 'no content type'}. Pin the "
            "Speko router to a provider that sends PCM, or let SpekoTTS(convert_audio=True) "
            "decode it.",
            "UNSUPPORTED_CONTENT_TYPE",
        )
    return _joined(segments)


def _joined(segments: list[tuple[SampleFormat, bytes]]) -> tuple[bytes, int, int]:
    for source, _ in segments:
        check_mono(source.channels)
    rates = sorted({source.sample_rate for source, _ in segments})
    if len(rates) > 1:
        raise SpekoAdapterError(
            f"SpekoTTS: expected WAVs of one sample rate, got {rates} Hz. Let "
            "SpekoTTS(convert_audio=True) decode them.",
            "UNSUPPORTED_AUDIO_FORMAT",
        )
    pcm = b"".join(samples[: len(samples) - len(samples) % 2] for _, samples in segments)
    if not pcm:
        raise empty_audio()
    return pcm, rates[0], 1


def _wav_segments(audio: bytes) -> list[tuple[SampleFormat, bytes]]:
    """Split the audio into the samples of each WAV and their format."""
    reader = WavReader()
    sources: list[SampleFormat] = []
    samples: list[bytearray] = []
    for item in (*reader.push(audio), *reader.finish()):
        if isinstance(item, WavHeader):
            check_wav_encoding(item.format.encoding)
            sources.append(item.format)
            samples.append(bytearray())
        else:
            samples[-1] += item
    return list(zip(sources, map(bytes, samples), strict=True))


async def _sniffed(content_type: str, chunks: AsyncIterator[bytes]) -> tuple[str, bytes]:
    """Return the media type of the audio, and the bytes read to know it."""
    start = b""
    while (chunk := await anext(chunks, None)) is not None:
        start += chunk
        kind = sniff(content_type, start) if start else None
        if kind is not None:
            return kind, start
    return media_type(content_type), start


async def _rejoined(start: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield start
    async for chunk in chunks:
        yield chunk


async def _decode_pcm(chunks: AsyncIterator[bytes], audio: AudioFormat) -> AsyncIterator[bytes]:
    source = pcm_format_from_content_type(audio.content_type, audio.sample_rate)
    if source.encoding != INT16 and not (audio.convert and source.encoding.convertible):
        raise SpekoAdapterError(
            f"SpekoTTS: {audio.provider} returned {audio.content_type}, expected int16 "
            f"little-endian samples. {_CONVERT}",
            "UNSUPPORTED_AUDIO_FORMAT",
        )
    converter = Converter(source, audio)
    async for chunk in chunks:
        yield converter.push(chunk)
    yield converter.flush()


async def _decode_wav(
    chunks: AsyncIterator[bytes], audio: AudioFormat, late: Late
) -> AsyncIterator[bytes]:
    reader, player = WavReader(), _WavPlayer(audio)
    async for chunk in _until_late(chunks, reader, late):
        for item in reader.push(chunk):
            yield player.play(item)
    for item in reader.finish():
        yield player.play(item)
    yield player.flush()


class _WavPlayer:
    """Converts the samples of WAVs that follow each other, each from its own format."""

    def __init__(self, audio: AudioFormat) -> None:
        self._audio = audio
        # Converts the samples of the file that is being read. None before the first.
        self._converter: Converter | None = None

    def play(self, item: WavHeader | bytes) -> bytes:
        """Convert some samples, or begin with the next file."""
        if isinstance(item, WavHeader):
            return self._begin(item.format)
        assert self._converter is not None
        return self._converter.push(item)

    def _begin(self, source: SampleFormat) -> bytes:
        if self._converter is not None and self._converter.source == source:
            # A resampler that is used on leaves no gap between the files.
            self._converter.drop_rest()
            return b""
        if source.encoding.convertible and not self._audio.convert:
            check_wav_encoding(source.encoding, remedy=_CONVERT)
        check_wav_encoding(source.encoding, convert=self._audio.convert)
        rest = self.flush()
        self._converter = Converter(source, self._audio)
        return rest

    def flush(self) -> bytes:
        """Return the rest that the resampler holds."""
        return b"" if self._converter is None else self._converter.flush()


async def _until_late(
    chunks: AsyncIterator[bytes], reader: WavReader, late: Late
) -> AsyncIterator[bytes]:
    """Yield the chunks until they end. After a complete file that is soon."""
    # When to stop waiting for another file. None in the middle of one.
    ends_at: float | None = None
    clock = asyncio.get_running_loop().time
    while not reader.ended:
        if not reader.complete:
            ends_at = None
            chunk = await anext(chunks, None)
        else:
            ends_at = clock() + late.seconds if ends_at is None else ends_at
            chunk = None
            with suppress(TimeoutError, *late.errors):
                async with Deadline(ends_at - clock()):
                    chunk = await anext(chunks, None)
        if chunk is None:
            return
        yield chunk


def _check_compressed(kind: str, audio: AudioFormat) -> None:
    if kind not in COMPRESSED_TYPES:
        raise SpekoAdapterError(
            f"SpekoTTS: {audio.provider} returned {kind or 'no content type'}, which is no audio "
            "that SpekoTTS knows. Pin the Speko router to another provider "
            "(constraints={'allowedProviders': {'tts': [...]}}).",
            "UNSUPPORTED_CONTENT_TYPE",
        )
    if not audio.convert:
        raise SpekoAdapterError(
            f"SpekoTTS: {audio.provider} returned {kind}, which is played only after decoding. "
            "Pass convert_audio=True, or pin the Speko router to a provider that sends PCM.",
            "UNSUPPORTED_AUDIO_FORMAT",
        )


async def _decode_compressed(
    chunks: AsyncIterator[bytes], kind: str, audio: AudioFormat
) -> AsyncIterator[bytes]:
    decoder = AudioStreamDecoder(sample_rate=audio.sample_rate, num_channels=1, format=kind)
    feeding = asyncio.create_task(_feed(decoder, chunks), name="speko_feed_decoder")
    decoded = False
    try:
        async for frame in decoder:
            decoded = True
            yield bytes(frame.data)
        await feeding
        if not decoded:
            raise SpekoAdapterError(
                f"SpekoTTS: {audio.provider} returned {kind} that can't be decoded.",
                "MALFORMED_AUDIO",
            )
    finally:
        try:
            await aio.cancel_and_wait(feeding)
        finally:
            await decoder.aclose()


async def _feed(decoder: AudioStreamDecoder, chunks: AsyncIterator[bytes]) -> None:
    try:
        async for chunk in chunks:
            decoder.push(chunk)
    finally:
        decoder.end_input()


def empty_audio() -> SpekoAdapterError:
    """Build the error for a response without a single sample. Retried."""
    return SpekoAdapterError("SpekoTTS: provider returned empty audio", "EMPTY_AUDIO")
