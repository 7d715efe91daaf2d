"""From an answer's bytes, as they arrive, to the PCM that a session plays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from livekit.agents.utils import aio
from livekit.agents.utils.codecs import AudioStreamDecoder

from .._aio import closing
from ..errors import SpekoAdapterError
from .pcm import AudioFormat, Converter, WavReader
from .wav import (
    PCM_TYPE,
    SAMPLE_BYTES,
    WAV_TYPES,
    empty_audio,
    media_type,
    pcm_channels_from_content_type,
    pcm_sample_rate_from_content_type,
)

COMPRESSED_TYPES = frozenset(
    {
        "audio/mpeg",
        "audio/mp3",
        "audio/x-mpeg",
        "audio/aac",
        "audio/x-aac",
        "audio/flac",
        "audio/x-flac",
        "audio/opus",
        "audio/ogg",
        "audio/webm",
        "audio/mp4",
    }
)
"""Media types that LiveKit's `AudioStreamDecoder` knows besides WAV.

As it decodes with the least delay, some of them lose a little: FLAC the first 96 ms, Opus and WebM
about 20 ms (measured with livekit-agents 1.8.9). PCM and WAV lose nothing.
"""


async def decode(chunks: AsyncIterator[bytes], audio: AudioFormat) -> AsyncIterator[bytes]:
    """Decode an answer while it arrives.

    Args:
        chunks: Its bytes, cut anywhere. What follows the samples of a WAV is left unread.
        audio: Their format, and the one wanted.

    Yields:
        int16 little-endian mono at ``audio.sample_rate``, cut anywhere.

    Raises:
        SpekoAdapterError: Nothing came (``EMPTY_AUDIO``, whatever its type); a type that can't be
            played (``UNSUPPORTED_CONTENT_TYPE``, ``UNSUPPORTED_AUDIO_FORMAT``); audio that isn't
            what is wanted (``UNSUPPORTED_CHANNELS``, ``SAMPLE_RATE_MISMATCH``); or that is broken
            (``MALFORMED_AUDIO``).
    """
    async with closing(_begun(chunks)) as begun:
        first = await anext(begun, b"")
        if not first:
            raise empty_audio()
        async with closing(_decoder_of(audio)(_rejoined(first, begun), audio)) as decoded:
            emitted_bytes = 0
            async for pcm in decoded:
                emitted_bytes += len(pcm)
                yield pcm
    if emitted_bytes < SAMPLE_BYTES:
        raise empty_audio()


async def _begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        if chunk:
            yield chunk


async def _rejoined(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in chunks:
        yield chunk


def _decoder_of(
    audio: AudioFormat,
) -> Callable[[AsyncIterator[bytes], AudioFormat], AsyncIterator[bytes]]:
    kind = media_type(audio.content_type)
    if kind == PCM_TYPE:
        return _decode_pcm
    if kind in WAV_TYPES:
        return _decode_wav
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
    return _decode_compressed


async def _decode_pcm(chunks: AsyncIterator[bytes], audio: AudioFormat) -> AsyncIterator[bytes]:
    converter = Converter(
        pcm_sample_rate_from_content_type(audio.content_type, audio.sample_rate),
        pcm_channels_from_content_type(audio.content_type),
        audio,
    )
    async for chunk in chunks:
        yield converter.push(chunk)
    yield converter.flush()


async def _decode_wav(chunks: AsyncIterator[bytes], audio: AudioFormat) -> AsyncIterator[bytes]:
    reader = WavReader()
    converter: Converter | None = None
    async for chunk in chunks:
        pcm = reader.push(chunk)
        if reader.header is None:
            continue
        if converter is None:
            converter = Converter(reader.header.sample_rate, reader.header.channels, audio)
        yield converter.push(pcm)
        if reader.complete:
            break
    if converter is not None:
        yield converter.flush()
    reader.finish()


async def _decode_compressed(
    chunks: AsyncIterator[bytes], audio: AudioFormat
) -> AsyncIterator[bytes]:
    decoder = AudioStreamDecoder(
        sample_rate=audio.sample_rate, num_channels=1, format=media_type(audio.content_type)
    )
    feeding = asyncio.create_task(_feed(decoder, chunks), name="speko_feed_decoder")
    decoded = False
    try:
        async for frame in decoder:
            decoded = True
            yield bytes(frame.data)
        if await feeding and not decoded:
            raise SpekoAdapterError(
                f"SpekoTTS: {audio.provider} returned {media_type(audio.content_type)} that can't "
                "be decoded.",
                "MALFORMED_AUDIO",
            )
    finally:
        await aio.cancel_and_wait(feeding)
        await decoder.aclose()


async def _feed(decoder: AudioStreamDecoder, chunks: AsyncIterator[bytes]) -> int:
    received = 0
    try:
        async for chunk in chunks:
            received += len(chunk)
            decoder.push(chunk)
    finally:
        decoder.end_input()
    return received
