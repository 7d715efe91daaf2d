"""Whole sessions in which a response fails: the turn is lost or retried, and the next one works."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from livekit.agents import APIError, vad
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko.testing import Reply, Speech, Transcript
from tests.helpers.session_calls import (
    ERROR_TYPES,
    IMPATIENT,
    IMPATIENT_TWICE,
    ONCE,
    TWICE,
    Call,
    calling,
)
from tests.helpers.session_faults import (
    AUDIO,
    PCM,
    QUESTION,
    REPLY,
    ROUTES,
    WORDS,
    Broken,
    Fault,
    faults,
)
from tests.helpers.session_line import spoken

RETRIES = pytest.mark.parametrize("retries", [0, 1], ids=["lost", "retried"])

pytestmark = pytest.mark.usefixtures("nothing_is_lost")


async def spoil_a_turn(call: Call, route: str, fault: Fault, *, heals: bool) -> None:
    """Take a turn with a fault in it; when it `heals`, a second attempt finds all well."""
    gateway = call.gateway
    before = len(gateway.requests_to(route))
    if route != "transcribe":
        gateway.transcribe.script(Transcript(QUESTION))
    if route == "synthesize":
        gateway.complete.script(Reply(REPLY))
    getattr(gateway, route).script(fault.answer)
    if heals and route == "transcribe":
        gateway.transcribe.script(Transcript(QUESTION))
    if heals and route != "synthesize":
        gateway.complete.script(Reply(REPLY))
    call.caller.speak()
    if route == "transcribe" and not heals:
        await call.failed(1, fault.name)
    else:
        await call.turn_over(fault.name)
    assert len(gateway.requests_to(route)) == before + 1 + heals, fault.name


def assert_lost(call: Call, route: str, fault: Fault) -> None:
    """Only the output before the fault was heard and kept, and one error was reported."""
    heard = call.ear.take()
    if route != "transcribe":
        call.told.append(("user", QUESTION))
    if route == "complete" and fault.began:
        call.told.append(("assistant", WORDS))
        assert heard == spoken(WORDS), fault.name
    elif route == "synthesize" and fault.began:
        call.told.append(("assistant", REPLY))
        assert heard and AUDIO.startswith(heard) and heard != AUDIO, fault.name
    else:
        assert heard == b"", fault.name
    assert call.history == call.told, fault.name
    assert_one_error(call, route, fault, recoverable=False)


def assert_healed(call: Call, route: str, fault: Fault) -> None:
    """Everything was heard and kept once. LiveKit's stream adapters hide the first error."""
    assert call.ear.take() == AUDIO, fault.name
    call.told += [("user", QUESTION), ("assistant", REPLY)]
    assert call.history == call.told, fault.name
    if route == "complete":
        assert_one_error(call, route, fault, recoverable=True)
    assert call.errors == [], fault.name


def assert_one_error(call: Call, route: str, fault: Fault, *, recoverable: bool) -> None:
    assert len(call.errors) == 1, (fault.name, call.errors)
    event = call.errors.pop()
    assert isinstance(event.error, ERROR_TYPES[route]), fault.name
    assert isinstance(event.error.error, APIError), fault.name
    assert event.error.recoverable == recoverable, fault.name


async def survive(
    voice_detector: vad.VAD,
    route: str,
    spoilt: Sequence[Fault],
    conn_options: APIConnectOptions,
) -> None:
    """One session meets every fault, with a good turn after each that lost one."""
    async with calling(voice_detector, conn_options=conn_options) as call:
        for fault in spoilt:
            heals = fault.retried and conn_options.max_retry > 0
            await spoil_a_turn(call, route, fault, heals=heals)
            if heals:
                assert_healed(call, route, fault)
            else:
                assert_lost(call, route, fault)
                await call.take_a_turn(fault.name)
        await call.take_a_turn("all of them")
        assert call.errors == [] and call.closed == []


@RETRIES
@pytest.mark.parametrize("route", ROUTES)
async def test_a_fault_costs_at_most_one_turn(
    voice_detector: vad.VAD, route: str, retries: int
) -> None:
    """A retry repairs the turn, unless words were heard or the fault would recur."""
    loud = [each for each in faults(route) if not each.silent]
    silent = [each for each in faults(route) if each.silent]
    await asyncio.gather(
        survive(voice_detector, route, loud, (ONCE, TWICE)[retries]),
        survive(voice_detector, route, silent, (IMPATIENT, IMPATIENT_TWICE)[retries]),
    )


@RETRIES
async def test_a_fault_in_a_later_sentence_leaves_the_first_one_intact(
    voice_detector: vad.VAD, retries: int
) -> None:
    first, second = "The museum opens at nine.", "On Mondays it stays closed all day."
    half = spoken(second)[:2_401]
    async with calling(voice_detector, conn_options=(ONCE, TWICE)[retries]) as call:
        call.gateway.transcribe.script(Transcript(QUESTION))
        call.gateway.complete.script(Reply(f"{first} {second}"))
        call.gateway.synthesize.script(Speech(spoken(first)), Broken(PCM, half))
        call.caller.speak()
        await call.turn_over()
        heard = call.ear.take()
        whole = spoken(first) + spoken(second)
        assert heard.startswith(spoken(first)) and whole.startswith(heard)
        assert (heard == whole) == bool(retries)
        assert [each.error.recoverable for each in call.errors] == ([] if retries else [False])
        call.told += [("user", QUESTION), ("assistant", f"{first} {second}")]
        await call.take_a_turn("the second sentence")
