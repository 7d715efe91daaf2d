"""Connections: refused, lost, ended, and made again with what was said and heard."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from livekit.agents import CloseReason

from livekit_plugins_speko.realtime import outbox
from tests.helpers.realtime_calls import (
    INTERRUPTION,
    RATE,
    USAGE,
    RealtimeCall,
    agent,
    calling,
    clock,
    speech,
    tool_call,
    user,
)
from tests.helpers.realtime_server import SECRETS
from tests.helpers.support import frame

Fault = Callable[[RealtimeCall], Awaitable[None]]


async def _closed(call: RealtimeCall) -> Any:
    await call.until(lambda: bool(call.closed), "the session's end")
    assert call.closed[0].reason is CloseReason.ERROR
    return call.closed[0].error.error


def _closing(code: int) -> Fault:
    async def close(call: RealtimeCall) -> None:
        await call.line.close(code, "why")

    return close


async def _drop(call: RealtimeCall) -> None:
    call.line.drop()


async def _end(call: RealtimeCall) -> None:
    await call.line.say({"t": "end", "reason": "why"})


def _in(seconds: float) -> str:
    """The time of day in so many seconds."""
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).isoformat()


DROPS = [_drop, *(_closing(code) for code in (1001, 1008, 1011, 4500))]
HANG_UPS = [_end, _closing(1000)]


@pytest.mark.parametrize("drop", DROPS)
async def test_lost_connection_is_made_again_with_the_history(drop: Fault) -> None:
    async with calling() as call:
        reconnected: list[Any] = []
        call.realtime.on("session_reconnected", reconnected.append)
        await call.reply("It is noon.", question="What time is it?")
        await drop(call)
        await call.line.connected(2)
        assert "Caller: What time is it?" in call.prompt
        assert "You: It is noon." in call.prompt
        await call.reply("One.", question="And in Rome?")
        assert len(reconnected) == 1
        assert [each.error.recoverable for each in call.errors] == [True]
        keys = {headers["Idempotency-Key"] for _, headers in call.server.requests}
        assert len(keys) == 2


@pytest.mark.parametrize("hang_up", HANG_UPS)
async def test_agent_that_hangs_up_closes_the_session_with_the_reason(hang_up: Fault) -> None:
    async with calling() as call:
        await hang_up(call)
        error = await _closed(call)
        assert "hung up" in str(error)
        assert "why" in str(error)
        assert len(call.server.requests) == 1


async def test_farewell_is_heard_before_the_session_closes() -> None:
    async with calling() as call:
        await call.line.say(user("Bye."), speech(0.6), agent("Goodbye."), USAGE)
        await call.line.say({"t": "end", "reason": "done"})
        await _closed(call)
        assert len(call.speaker.played) >= len(speech(0.5))


async def test_refused_token_closes_the_session() -> None:
    async with calling() as call:
        await call.line.close(4401, "expired")
        assert "4401" in str(await _closed(call))
        assert len(call.server.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
async def test_refused_session_is_not_requested_again(status: int) -> None:
    answer = (status, {"error": "no", "code": "NO"})
    async with calling(connected=False, responses=[answer] * 5) as call:
        assert str(status) in str(await _closed(call))
        assert len(call.server.requests) == 1
        assert [route.outcome for route in call.routes] == ["failed"]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_failed_request_is_made_again(status: int) -> None:
    answer = (status, {"error": "no", "code": "NO"})
    async with calling(responses=[answer] * 2) as call:
        await call.reply("Noon.", question="Time?")
        assert len(call.server.requests) == 3
        assert [each.error.recoverable for each in call.errors] == [True, True]


async def test_attempts_have_an_end() -> None:
    answer = (503, {"error": "no", "code": "NO"})
    async with calling(connected=False, responses=[answer] * 9) as call:
        await _closed(call)
        assert len(call.server.requests) == 3


async def test_connections_without_traffic_have_an_end() -> None:
    async with calling() as call:
        for times in range(1, 4):
            await call.line.connected(times)
            call.line.drop()
        await _closed(call)
        assert len(call.server.requests) == 3


async def test_traffic_gives_new_attempts() -> None:
    async with calling() as call:
        for times in range(1, 6):
            await call.line.connected(times)
            await call.reply(f"It is {times}.", question=f"Question {times}?")
            call.line.drop()
        await call.line.connected(6)
        assert not call.closed


async def test_lost_response_is_requested_again_with_the_same_key() -> None:
    never = asyncio.Event()

    async def hang() -> tuple[int, Any]:
        await never.wait()
        return 200, {}

    async with calling(responses=[hang]) as call:
        await call.reply("Noon.", question="Time?")
        never.set()
        first, second = (headers["Idempotency-Key"] for _, headers in call.server.requests)
        assert first == second


async def test_error_without_quota_is_not_tried_again_for_ever() -> None:
    async with calling() as call:
        await call.line.say({"t": "error", "code": "insufficient_quota", "message": "no money"})
        await call.until(lambda: bool(call.errors))
        assert not call.closed
        call.line.drop()
        assert "insufficient_quota" in str(await _closed(call))


async def test_harmless_error_changes_nothing() -> None:
    async with calling() as call:
        await call.line.say({"t": "error", "code": "busy", "message": "try later"})
        await call.reply("Noon.", question="Time?")
        assert [each.error.recoverable for each in call.errors] == [True]


@pytest.mark.parametrize("drop", [_drop, _closing(1011)])
async def test_reply_that_is_cut_by_a_drop_ends(drop: Fault) -> None:
    async with calling() as call:
        await call.line.say(user("Tell me."), speech(0.5), agent("Once upon", False))
        await call.until_state("speaking")
        await drop(call)
        await call.ends()
        await call.line.connected(2)
        assert "You: Once upon" in call.prompt
        await call.reply("Noon.", question="Time?")


@pytest.mark.parametrize("synchronized", [True, False])
async def test_prompt_has_what_was_heard_and_not_what_was_cut_off(synchronized: bool) -> None:
    async with calling(synchronized=synchronized) as call:
        await call.line.say(user("Tell me."), speech(3.0))
        await call.line.say(agent("Once upon a time there lived a king in a castle by the sea."))
        await call.until_state("speaking")
        await asyncio.sleep(0.8)
        await call.line.say(INTERRUPTION)
        await call.until(lambda: len(call.history) == 2)
        call.line.drop()
        await call.line.connected(2)
        assert "You: Once" in call.prompt
        assert "sea" not in call.prompt


async def test_reply_that_was_never_played_is_not_in_the_prompt() -> None:
    async with calling() as call:
        await call.line.say(user("Tell me."), speech(2.0), agent("One."), USAGE)
        await call.line.say(speech(2.0), agent("Two."), USAGE)
        await call.until_state("speaking")
        await call.line.say(INTERRUPTION, user("Stop."))
        await call.until_state("listening")
        call.line.drop()
        await call.line.connected(2)
        assert "Two." not in call.prompt
        assert "Caller: Stop." in call.prompt


async def test_open_line_is_kept_over_a_drop() -> None:
    async with calling() as call:
        await call.line.say(user("I would like", False))
        await call.until(lambda: bool(call.lines))
        call.line.drop()
        await call.line.connected(2)
        assert call.finals == ["I would like"]
        assert "Caller: I would like" in call.prompt
        assert call.user_states == ["speaking", "listening"]


async def test_result_of_a_lost_call_reaches_the_model() -> None:
    may_end = asyncio.Event()

    async def slow() -> str:
        await may_end.wait()
        return "noon"

    async with calling(agent=clock(slow)) as call:
        await call.line.say(user("Time?"), tool_call())
        await call.until_state("thinking")
        call.line.drop()
        await call.line.connected(2)
        may_end.set()
        await call.line.connected(3)
        assert "noon" in call.prompt
        await call.line.until_message("control")
        assert not [each for each in call.line.messages if each["t"] == "tool_result"]
        await call.reply("It is noon.")


async def test_audio_during_an_outage_is_kept_two_seconds() -> None:
    gate = asyncio.Event()

    async def wait() -> tuple[int, Any]:
        await gate.wait()
        return 503, {"error": "no"}

    async with calling() as call:
        call.server.responses = [wait]
        call.line.drop()
        await call.until(lambda: len(call.server.requests) == 2)
        for _ in range(100):
            call.realtime.push_audio(frame(speech(0.05), rate=RATE))
        gate.set()
        await call.line.connected(2)
        await call.until(lambda: len(call.line.audio) >= 16_000 * 2 * outbox.MOST_AUDIO_S * 0.9)
        assert len(call.line.audio) <= 16_000 * 2 * outbox.MOST_AUDIO_S
        assert not call.closed


async def test_secrets_are_in_no_log_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with calling() as call:
        call.line.drop()
        await call.line.connected(2)
        realtime = call.realtime
        await call.line.close(4401, f"bad token {SECRETS[1]}")
        error = await _closed(call)
        told = caplog.text + repr(error) + str(error) + repr(realtime)
        assert not [secret for secret in SECRETS if secret in told]


async def test_session_is_renewed_at_a_quiet_moment() -> None:
    async with calling(changes={"expiresAt": _in(6.0)}) as call:
        began = time.monotonic()
        await call.reply("Noon.", question="Time?")
        call.server.changes = {}
        await call.line.say(speech(1.0), agent("And there is more."))
        await call.line.connected(2)
        assert 3.0 < time.monotonic() - began < 5.5
        assert "You: And there is more." in call.prompt
        assert call.line.peers[0].close_code == 1000
        await call.reply("One.", question="And in Rome?")
        assert not call.errors


async def test_session_is_renewed_before_its_end_whatever_is_under_way() -> None:
    async with calling(changes={"expiresAt": _in(3.0)}) as call:
        began = time.monotonic()
        call.server.changes = {}
        await call.line.say(user("Tell me."), speech(8.0), agent("Once upon a time", False))
        await call.line.connected(2)
        assert 1.5 < time.monotonic() - began < 2.9
        await call.until_state("speaking")
        assert not call.closed


@pytest.mark.parametrize("ends", ["2001-01-01T00:00:00Z", "soon", None])
async def test_end_that_cannot_be_true_is_ignored(ends: str | None) -> None:
    async with calling(changes={"expiresAt": ends}) as call:
        await call.reply("Noon.", question="Time?")
        assert len(call.server.requests) == 1
