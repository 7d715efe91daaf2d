"""Audio and compression take bounded memory, and bounded time."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from functools import lru_cache
from typing import Any

import httpx
import pytest
from livekit.agents import APIError
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Speko, SpekoApiError
from livekit_plugins_speko.audio.wav import MAX_WAV_HEADER_BYTES
from tests.helpers.client_calls import CALLS, Call, synthesize
from tests.helpers.raw_server import RawServer, answer
from tests.helpers.support import NO_RETRY, cause, tone, wav
from tests.helpers.tts_calls import joined, make_tts, speak
from tests.helpers.wav_files import chunk, fmt, riff
from tests.security.endless import MIB, EndlessServer, Memory

WAV = {"Content-Type": "audio/wav"}
# Generous: what is held, some copies of it while it is read, and the server's own buffers.
SMALL_BYTES = 24 * MIB
WITHIN_S = 20.0


def client_of(server: RawServer, **options: Any) -> Speko:
    return Speko(api_key="k", base_url=server.base_url, **options)


# Audio


async def test_endless_wav_header_is_refused_in_bounded_memory() -> None:
    start = riff(fmt())
    for piece in (chunk(b"JUNK", bytes(1000)), b"JUNK\0\0\0\0" * 1000):
        server = EndlessServer(piece, start=start, headers=WAV)
        async with server, client_of(server) as speko:
            with Memory() as memory, pytest.raises(APIError) as raised:
                await speak(make_tts(speko))
            await asyncio.wait_for(server.gone.wait(), WITHIN_S)
        assert cause(raised.value).code == "MALFORMED_AUDIO"
        assert f"in {MAX_WAV_HEADER_BYTES} bytes" in str(raised.value)
        assert memory.peak_bytes < SMALL_BYTES


@pytest.mark.parametrize("piece", [chunk(b"LIST", bytes(1000)), b'{"text": 1}' * 100])
async def test_endless_tail_of_a_wav_is_not_waited_for(piece: bytes) -> None:
    pcm = tone(0.2)
    server = EndlessServer(piece, start=wav(pcm), headers=WAV)
    async with server, client_of(server) as speko:
        with Memory() as memory:
            assert joined(await speak(make_tts(speko), conn_options=NO_RETRY)) == pcm
        await asyncio.wait_for(server.gone.wait(), WITHIN_S)
    assert memory.peak_bytes < SMALL_BYTES


@pytest.mark.parametrize("channels", [1_000, 65_536, 900_000_000])
async def test_pcm_with_more_channels_than_any_speech_is_refused(channels: int) -> None:
    """A frame of so many samples would never be complete, and be kept until it is."""
    kind = {"Content-Type": f"audio/pcm;rate=24000;channels={channels}"}
    soon = APIConnectOptions(max_retry=0, timeout=0.5)
    server = EndlessServer(bytes(65_536), headers=kind)
    async with server, client_of(server) as speko:
        with pytest.raises(APIError) as raised:
            await speak(make_tts(speko, convert_audio=True), conn_options=soon)
        await asyncio.wait_for(server.gone.wait(), WITHIN_S)
    assert getattr(cause(raised.value), "code", None) == "UNSUPPORTED_CHANNELS"


# Compression


@lru_cache
def bomb(encoding: str) -> bytes:
    """64 MiB of spaces, in 64 KiB or so."""
    spaces = b" " * (64 * MIB)
    return gzip.compress(spaces) if encoding == "gzip" else zlib.compress(spaces)


@CALLS
@pytest.mark.parametrize("encoding", ["gzip", "Deflate", "identity, gzip"])
@pytest.mark.parametrize("status", [200, 503])
async def test_compressed_response_is_refused_without_being_inflated(
    call: Call, encoding: str, status: int
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    said = answer(bomb(encoding.lower().split()[-1]), status=status, headers=headers)
    async with RawServer(said) as server, client_of(server) as speko:
        with Memory() as memory, pytest.raises(SpekoApiError) as raised:
            await call(speko)
    assert (raised.value.status, memory.peak_bytes < SMALL_BYTES) == (status, True)
    assert status == 503 or raised.value.code == "MALFORMED_RESPONSE"


async def test_compression_is_never_requested_even_with_a_client_of_the_user() -> None:
    theirs = httpx.AsyncClient(headers={"Accept-Encoding": "gzip, br"})
    async with theirs, RawServer(answer(b"ab", headers=WAV)) as server:
        for http_client in (None, theirs):
            async with client_of(server, http_client=http_client) as speko:
                await synthesize(speko)
    assert len(server.heads) == 2
    assert all("\r\naccept-encoding: identity\r\n" in head.lower() for head in server.heads)
