"""The tokens of a speech-to-speech session are in no repr, error, traceback or log."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from livekit_plugins_speko.api.realtime_events import Close, Error
from tests.helpers.realtime_server import (
    CREDENTIAL,
    KEY,
    SECRETS,
    TELEMETRY_TOKEN,
    WS_TOKEN,
    Peer,
    RealtimeServer,
)

ALL_FORMS = pytest.mark.parametrize("form", ["proxy", "xai", "google", "openai", "livekit"])
SPOKEN = pytest.mark.parametrize("form", ["proxy", "xai", "google"])


def shown_by(error: BaseException) -> Iterator[str]:
    """All that an error tracker shows: texts, chains, and the local variables of our frames."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    for line in shown.format():
        # The test's own frames hold the server, which knows every token.
        if "/tests/" not in line:
            yield line
    yield from (str(error), repr(error), repr(error.args))


def assert_hidden(*texts: str) -> None:
    for text in texts:
        assert not [secret for secret in SECRETS if secret in text], text


async def caught(server: RealtimeServer) -> BaseException:
    async with server.client() as speko:
        speko.realtime.ready_s = 0.3
        try:
            await speko.realtime.connect()
        except Exception as error:
            return error
    raise AssertionError("it connected")


@ALL_FORMS
async def test_reprs_hide_them(form: str) -> None:
    async with RealtimeServer(form) as server, server.client() as speko:
        credentials: Any = await speko.realtime.mint()
        assert_hidden(repr(credentials), str(credentials), f"{credentials}")
        for name in ("credential", "telemetry", "reservation"):
            assert_hidden(repr(getattr(credentials, name, None)))
        assert "s1" in repr(credentials) and "Be brief" not in repr(credentials)


def echo(form: str) -> str:
    """All the secrets of a session of this form."""
    tokens = (WS_TOKEN,) if form == "proxy" else (CREDENTIAL, TELEMETRY_TOKEN)
    return " ".join((*tokens, KEY))


def refuse(form: str) -> dict[str, Any]:
    """An error that echoes every secret."""
    said = {"code": echo(form), "message": echo(form)}
    if form == "proxy":
        return {"t": "error", **said}
    return {"type": "error", "error": {"status": echo(form), **said}}


@SPOKEN
@pytest.mark.parametrize("fault", ["error", "close", "silence", "refused", "drop", "host", "json"])
async def test_errors_and_logs_hide_them(
    form: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def script(peer: Peer) -> None:
        if fault == "error":
            await peer.say(refuse(form))
        elif fault == "close":
            await peer.ws.close(code=1011, message=echo(form).encode())
        elif fault == "drop":
            socket = peer.ws.get_extra_info("socket")
            assert socket is not None
            socket.shutdown(2)

    async with RealtimeServer(form, script) as server:
        key = "wsUrl" if form == "proxy" else "endpoint"
        if fault == "refused":
            server.changes = {key: f"ws://127.0.0.1:{server.port}/not/here"}
        elif fault == "host":
            server.changes = {key: f"wss://{SECRETS[1]}@10.0.0.1/"}
        elif fault == "json":
            server.responses = [(200, f'{{"sessionId": "{echo(form)}"')]
        error = await caught(server)
    texts = [*shown_by(error)]
    if fault == "json":  # the frames that parse the response
        texts = [str(error), repr(error)]
    # Python 3.10 may keep the cancellation that ended the wait, which holds nothing.
    assert isinstance(error.__context__, asyncio.CancelledError | None)
    assert_hidden(*texts, *(record.getMessage() + str(vars(record)) for record in caplog.records))


@SPOKEN
async def test_events_after_ready_hide_them(form: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.ready()
        await peer.say(refuse(form))
        await peer.ws.close(code=1011, message=echo(form).encode())

    async with RealtimeServer(form, script) as server, server.client() as speko:
        async with await speko.realtime.connect() as connection:
            events = [event async for event in connection]
    assert [type(event) for event in events] == [Error, Close]
    assert_hidden(*(str(event) for event in events), repr(connection))
