"""The TLS context: one for all clients, and built without delaying a call."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from livekit_plugins_speko import Speko, SpekoApiError
from livekit_plugins_speko.api import tls as _tls
from livekit_plugins_speko.errors import CLIENT_CLOSED
from tests.cancel.servers import CERTIFICATE, TlsServer
from tests.helpers.client_calls import synthesize
from tests.helpers.raw_server import answer

AUDIO = answer(b"\0\0", headers={"Content-Type": "audio/pcm;rate=24000"})


@pytest.fixture
def nothing_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has made no client yet and trusts the tests' certificate."""
    monkeypatch.setattr(_tls, "_contexts", {})
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


@pytest.fixture
async def server() -> AsyncIterator[TlsServer]:
    server = TlsServer(AUDIO)
    async with server.listening():
        yield server


def client_of(server: TlsServer, **options: Any) -> Speko:
    return Speko(**{"api_key": "k", "base_url": f"https://{server.address}", **options})


async def on_a_loop(scheme: str) -> ssl.SSLContext | None:
    return _tls.context_at_hand(scheme)


@pytest.mark.usefixtures("nothing_built")
def test_clients_share_one_context() -> None:
    assert _tls.shared_context() is _tls.shared_context()
    assert asyncio.run(on_a_loop("https")) is _tls.shared_context()


@pytest.mark.usefixtures("nothing_built")
def test_other_certificates_make_another_context(monkeypatch: pytest.MonkeyPatch) -> None:
    own = _tls.shared_context()
    monkeypatch.delenv("SSL_CERT_FILE")
    assert _tls.shared_context() is not own
    assert len(own.get_ca_certs()) == 1


@pytest.mark.usefixtures("nothing_built")
def test_certificate_of_the_server_is_verified() -> None:
    context = _tls.shared_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.usefixtures("nothing_built")
async def test_client_made_on_an_event_loop_builds_no_context_there() -> None:
    Speko(api_key="k")
    assert _tls._contexts == {}


@pytest.mark.usefixtures("nothing_built")
def test_client_made_before_the_event_loop_builds_its_context_at_once() -> None:
    Speko(api_key="k")
    assert len(_tls._contexts) == 1


@pytest.mark.usefixtures("nothing_built")
def test_plain_http_needs_no_certificates() -> None:
    Speko(api_key="k", base_url="http://127.0.0.1:1")
    assert _tls._contexts == {}
    context = asyncio.run(on_a_loop("http"))
    assert context is not None
    assert (context.get_ca_certs(), context.verify_mode) == ([], ssl.CERT_REQUIRED)


@pytest.mark.usefixtures("nothing_built")
async def test_first_calls_share_the_wait_for_the_context(server: TlsServer) -> None:
    async with client_of(server) as speko:
        results = await asyncio.gather(*(synthesize(speko) for _ in range(5)))
    assert [result.audio for result in results] == [b"\0\0"] * 5
    assert len(_tls._contexts) == 1


@pytest.mark.usefixtures("nothing_built")
async def test_server_with_an_untrusted_certificate_is_refused(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    async with client_of(server) as speko:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await synthesize(speko)


@pytest.mark.usefixtures("nothing_built")
async def test_client_may_be_closed_while_its_context_is_built(server: TlsServer) -> None:
    speko = client_of(server)
    with _tls._building:
        call = asyncio.create_task(synthesize(speko))
        await asyncio.sleep(0)
        await speko.aclose()
    with pytest.raises(SpekoApiError) as raised:
        await call
    assert raised.value.code == CLIENT_CLOSED


@pytest.mark.usefixtures("nothing_built")
async def test_call_may_be_cancelled_while_the_context_is_built(server: TlsServer) -> None:
    async with client_of(server) as speko:
        with _tls._building:
            call = asyncio.create_task(synthesize(speko))
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        assert (await synthesize(speko)).audio == b"\0\0"


@pytest.mark.usefixtures("nothing_built")
async def test_missing_certificates_are_reported_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(ValueError, match=r"SSL_CERT_FILE \(/nowhere/ca\.pem\) can't be used"):
        Speko(api_key="k")
    Speko(api_key="k", base_url="http://127.0.0.1:1")


@pytest.mark.usefixtures("nothing_built")
def test_invalid_certificates_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificates")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with pytest.raises(ValueError, match="Name a file of PEM certificates"):
        Speko(api_key="k")
    assert _tls._contexts == {}
