"""The official SDK's handle as a connection: what is forwarded, and what its faults become."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError

from livekit_plugins_speko.realtime.sdk_connection import SdkConnection, SdkConnector

SECRET = "token-SECRET"


class _Lost(ConnectionClosedError):
    """The SDK's socket library reports a lost connection, with the credential in its text."""

    def __init__(self) -> None:
        super().__init__(None, None)

    def __str__(self) -> str:
        return SECRET


_Lost.__module__ = ConnectionClosedError.__module__


class _Handle:
    """A handle that keeps its calls, or raises `fault` for each."""

    session_id, expires_at = "s1", None
    input_sample_rate = output_sample_rate = 24_000

    def __init__(self, fault: Exception | None = None) -> None:
        self.calls: list[str] = []
        self._fault = fault

    async def commit(self) -> None:
        self._note("commit")

    async def interrupt(self) -> None:
        self._note("interrupt")

    async def close(self, code: int, reason: str) -> None:
        self._note("close")

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        self._note("iterate")
        yield {"type": "close", "reason": "done"}

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if self._fault is not None:
            raise self._fault


class _Client:
    """A client that keeps the options that it connects with, or raises `fault`."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.options: list[dict[str, Any]] = []
        self._fault = fault

    async def connect_realtime(self, options: dict[str, Any]) -> _Handle:
        self.options.append(options)
        if self._fault is not None:
            raise self._fault
        return _Handle()


async def test_turn_and_interruption_are_forwarded() -> None:
    handle = _Handle()
    connection = SdkConnection(handle)
    await connection.commit()
    await connection.interrupt()
    assert handle.calls == ["commit", "interrupt"]


async def test_lost_socket_is_a_connection_error_without_the_credential() -> None:
    connection = SdkConnection(_Handle(_Lost()))
    with pytest.raises(ConnectionError, match="_Lost") as raised:
        await connection.commit()
    assert SECRET not in "".join(traceback.format_exception(raised.value))
    assert raised.value.__context__ is None


@pytest.mark.parametrize("fault", [_Lost(), ConnectionResetError("gone"), None])
async def test_lost_socket_can_be_closed(fault: Exception | None) -> None:
    handle = _Handle(fault)
    await SdkConnection(handle).close()
    assert handle.calls == ["close"]


async def test_lost_socket_ends_the_events_with_a_close() -> None:
    [event] = [event async for event in SdkConnection(_Handle(_Lost()))]
    assert event.type == "close"
    assert event.code == 1006
    assert SECRET not in event.reason


async def test_channel_that_is_closed_is_a_lost_connection() -> None:
    closed = RuntimeError("OpenAI WebRTC data channel is not open")
    with pytest.raises(ConnectionError, match="data channel is not open"):
        await SdkConnection(_Handle(closed)).interrupt()


@pytest.mark.parametrize("fault", [RuntimeError, EOFError])
async def test_setup_that_fails_can_be_tried_again(fault: type[Exception]) -> None:
    client = _Client(fault(f"Provider realtime setup failed: {SECRET}"))
    with pytest.raises(ConnectionError, match="setup failed") as raised:
        await SdkConnector(client).connect({"model": "voice-1"})
    assert SECRET not in "".join(traceback.format_exception(raised.value))


async def test_error_that_is_not_the_networks_is_raised_as_it_is() -> None:
    fault = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug") as raised:
        await SdkConnection(_Handle(fault)).commit()
    assert raised.value is fault


async def test_instructions_and_text_are_refused() -> None:
    connection = SdkConnection(_Handle())
    assert not connection.can_take_text
    with pytest.raises(NotImplementedError, match="instructions"):
        await connection.reply("Greet.")
    with pytest.raises(NotImplementedError, match="text"):
        await connection.send_text("Hi.")


async def test_options_without_a_value_are_not_sent() -> None:
    client = _Client()
    await SdkConnector(client).connect({"model": "voice-1", "voice": None, "tools": None})
    assert client.options == [{"model": "voice-1"}]
