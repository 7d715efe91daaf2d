"""Text-to-speech: errors of the service and of the network, and retries."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import spekoai
from livekit.agents import APIConnectionError, APIStatusError
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Speko, SpekoApiError, SpekoAuthError, SpekoRateLimitError
from livekit_plugins_speko.testing import Gate, LocalGateway, Refusal
from tests.helpers.raw_server import RawServer, answer
from tests.helpers.support import QUICK_RETRY, compressed, errors_of, shown, tone, wav
from tests.helpers.tts_calls import (
    PCM,
    assert_given_up,
    assert_retried,
    joined,
    make_tts,
    speak,
    speech,
)

# The service's own errors


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_temporary_status_is_retried(
    gateway: LocalGateway, speko: Speko, status: int
) -> None:
    error = await assert_retried(
        gateway, make_tts(speko), Refusal(status, "not now", "RATE_LIMITED")
    )
    assert isinstance(error, APIStatusError)
    assert error.status_code == status
    assert error.message == f"Speko: not now ({status} RATE_LIMITED)"
    assert error.body == {"error": "not now", "code": "RATE_LIMITED"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_permanent_status_is_not_retried(
    gateway: LocalGateway, speko: Speko, status: int
) -> None:
    error = await assert_given_up(gateway, make_tts(speko), Refusal(status, "no", "AUTH_ERROR"))
    assert isinstance(error, APIStatusError)
    assert error.status_code == status
    assert error.message == f"Speko: no ({status} AUTH_ERROR)"
    assert error.body == {"error": "no", "code": "AUTH_ERROR"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, SpekoAuthError), (403, SpekoApiError), (429, SpekoRateLimitError), (503, SpekoApiError)],
)
async def test_cause_is_the_speko_error(
    gateway: LocalGateway, speko: Speko, status: int, kind: type[SpekoApiError]
) -> None:
    gateway.synthesize.script(Refusal(status, "no", "CODE", headers={"Retry-After": "7"}))
    with pytest.raises(APIStatusError) as raised:
        await speak(make_tts(speko))
    found = raised.value.__cause__
    assert type(found) is kind
    assert (found.message, found.status, found.code) == ("no", status, "CODE")
    assert getattr(found, "retry_after", 7) == 7


async def test_error_page_of_a_proxy_keeps_its_status(gateway: LocalGateway, speko: Speko) -> None:
    page = Refusal(502, body="<html>Bad Gateway</html>")
    error = await assert_retried(gateway, make_tts(speko), page)
    assert isinstance(error, APIStatusError)
    assert error.status_code == 502


@pytest.mark.parametrize(
    ("status", "retryable"), [(401, False), (422, False), (429, True), (503, True)]
)
async def test_errors_of_the_official_sdk_are_mapped(
    gateway: LocalGateway, client: Any, status: int, retryable: bool
) -> None:
    gateway.synthesize.script(Refusal(status, "no", "CODE"))
    with pytest.raises(APIStatusError) as raised:
        await speak(make_tts(client))
    assert (raised.value.status_code, raised.value.retryable) == (status, retryable)
    assert isinstance(raised.value.__cause__, SpekoApiError | spekoai.SpekoApiError)


async def test_wrong_key_is_not_retried(gateway: LocalGateway) -> None:
    async with Speko(base_url=gateway.base_url, api_key="wrong") as client:
        error = await assert_given_up(gateway, make_tts(client))
    assert isinstance(error, APIStatusError)
    assert error.status_code == 401
    assert isinstance(error.__cause__, SpekoAuthError)


async def test_conn_options_bound_the_attempts(gateway: LocalGateway, speko: Speko) -> None:
    gateway.synthesize.always(Refusal(503, "not now", "ALL_PROVIDERS_FAILED"))
    voice = make_tts(speko)
    errors = errors_of(voice)
    with pytest.raises(APIStatusError):
        await speak(voice, conn_options=QUICK_RETRY)
    assert len(gateway.requests) == 1 + QUICK_RETRY.max_retry
    assert [event.recoverable for event in errors] == [True, True, False]


# The network's errors


async def test_refused_connection_is_a_connection_error() -> None:
    async with RawServer() as server:
        pass
    async with Speko(base_url=server.base_url, api_key="k") as client:
        voice = make_tts(client)
        errors = errors_of(voice)
        with pytest.raises(APIConnectionError) as raised:
            await speak(voice, conn_options=APIConnectOptions(max_retry=1))
    assert type(raised.value) is APIConnectionError
    assert isinstance(raised.value.__cause__, httpx.ConnectError)
    assert [event.recoverable for event in errors] == [True, False]


BROKEN_AFTER = (1, 2, 480, 961, 4_800, 12_345, len(PCM) - 2, len(PCM))


@pytest.mark.parametrize("sent_bytes", BROKEN_AFTER)
@pytest.mark.parametrize(
    ("content_type", "audio", "convert_audio", "whole"),
    [
        ("audio/pcm;rate=24000", PCM, False, PCM),
        ("audio/wav", wav(PCM), False, PCM),
        ("audio/pcm;rate=24000;channels=2", tone(0.5, channels=2), True, PCM),
    ],
    ids=shown,
)
async def test_cut_sentence_resumes_at_the_next_sample(
    content_type: str, audio: bytes, convert_audio: bool, whole: bytes, sent_bytes: int
) -> None:
    headers = {"Content-Type": content_type}
    broken = answer([audio[:sent_bytes]], headers=headers, whole=False)
    async with (
        RawServer(broken, answer([audio], headers=headers)) as server,
        Speko(base_url=server.base_url, api_key="k") as client,
    ):
        voice = make_tts(client, convert_audio=convert_audio)
        errors = errors_of(voice)
        events = await speak(voice, conn_options=QUICK_RETRY)
    (event,) = errors
    assert type(event.error) is APIConnectionError
    assert isinstance(event.error.__cause__, httpx.RemoteProtocolError)
    assert (event.recoverable, len(server.heads)) == (True, 2)
    assert joined(events) == whole
    assert [each.is_final for each in events] == [False] * (len(events) - 1) + [True]


async def test_cut_compressed_sentence_is_spoken_once() -> None:
    audio, headers = compressed(PCM), {"Content-Type": "audio/mpeg"}
    broken = answer([audio[: len(audio) // 2]], headers=headers, whole=False)
    async with (
        RawServer(broken, answer([audio], headers=headers)) as server,
        Speko(base_url=server.base_url, api_key="k") as client,
    ):
        events = await speak(make_tts(client, convert_audio=True), conn_options=QUICK_RETRY)
    assert len(joined(events)) / 2 / 24_000 == pytest.approx(0.5, abs=0.06)


async def test_sentence_cut_twice_is_spoken_once() -> None:
    headers = {"Content-Type": "audio/pcm;rate=24000"}
    parts = [answer([PCM[:size]], headers=headers, whole=False) for size in (6_000, 15_000)]
    async with (
        RawServer(*parts, answer([PCM], headers=headers)) as server,
        Speko(base_url=server.base_url, api_key="k") as client,
    ):
        assert joined(await speak(make_tts(client), conn_options=QUICK_RETRY)) == PCM


async def test_stalled_sentence_resumes_where_it_stopped(
    gateway: LocalGateway, speko: Speko
) -> None:
    """LiveKit plays all audio received when the rest is late, so all of it counts as played."""
    gateway.synthesize.script(speech([PCM[:12_000], Gate()]), speech())
    options = APIConnectOptions(max_retry=1, retry_interval=0.0, timeout=0.6)
    assert joined(await speak(make_tts(speko), conn_options=options)) == PCM


async def test_retry_without_new_audio_ends_the_sentence(
    gateway: LocalGateway, speko: Speko
) -> None:
    """The next provider may speak faster: all its audio was played already."""
    gateway.synthesize.script(speech([PCM[:12_000], Gate()]), speech(PCM[:4_800]))
    options = APIConnectOptions(max_retry=1, retry_interval=0.0, timeout=0.6)
    assert joined(await speak(make_tts(speko), conn_options=options)) == PCM[:12_000] + bytes(2)


async def test_connection_closed_without_a_response_is_retried() -> None:
    headers = {"Content-Type": "audio/pcm;rate=24000"}
    async with (
        RawServer(b"", answer([PCM], headers=headers)) as server,
        Speko(base_url=server.base_url, api_key="k") as client,
    ):
        voice = make_tts(client)
        errors = errors_of(voice)
        assert joined(await speak(voice, conn_options=QUICK_RETRY)) == PCM
    assert [type(event.error) for event in errors] == [APIConnectionError]


async def test_retry_with_only_the_audio_already_forwarded_adds_nothing() -> None:
    """LiveKit holds the last 10 ms back: only the first response has them."""
    headers = {"Content-Type": "audio/pcm;rate=24000"}
    heard = PCM[:-480]
    async with (
        RawServer(
            answer([PCM], headers=headers, whole=False), answer([heard], headers=headers)
        ) as server,
        Speko(base_url=server.base_url, api_key="k") as client,
    ):
        voice = make_tts(client)
        errors = errors_of(voice)
        spoken = joined(await speak(voice, conn_options=QUICK_RETRY))
    assert (spoken[: len(heard)], any(spoken[len(heard) :])) == (heard, False)
    assert ([event.recoverable for event in errors], len(server.heads)) == ([True], 2)
