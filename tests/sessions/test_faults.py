"""Whole sessions in which one answer fails: the turn ends, and the next one works."""

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
    FAULTS,
    PCM,
    QUESTION,
    REPLY,
    ROUTES,
    WORDS,
    Broken,
    Fault,
    silences,
)
from tests.helpers.session_line import spoken

STAGES = pytest.mark.parametrize("route", ROUTES)
SIDE_BY_SIDE = 4

pytestmark = pytest.mark.usefixtures("nothing_is_lost")


async def spoil_a_turn(call: Call, route: str, fault: Fault, *, heals: bool) -> None:
    """Take a turn with a fault in it, behind which all goes well if it is asked again."""
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
    """Nothing more than what came before the fault was heard and noted, and one error came."""
    heard = call.ear.take()
    if route != "transcribe":
        call.told.append(("user", QUESTION))
    if route == "complete" and fault.began:
        call.told.append(("assistant", WORDS))
        assert heard == spoken(WORDS), fault.name
    elif route == "synthesize" and fault.began:
        assert heard and AUDIO.startswith(heard) and heard != AUDIO, fault.name
    else:
        assert heard == b"", fault.name
    if route == "synthesize" and fault.began:
        call.told.append(("assistant", REPLY))
    assert call.history == call.told, fault.name
    assert_one_error(call, route, fault, recoverable=False)


def assert_healed(call: Call, route: str, fault: Fault) -> None:
    """All was heard and noted once. LiveKit's stream adapters keep the first attempt's error."""
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
    faults: Sequence[Fault],
    conn_options: APIConnectOptions,
) -> None:
    """One session goes through all the faults, with a good turn behind each that cost one."""
    async with calling(voice_detector, conn_options=conn_options) as call:
        for fault in faults:
            heals = fault.retried and conn_options.max_retry > 0
            await spoil_a_turn(call, route, fault, heals=heals)
            if heals:
                assert_healed(call, route, fault)
            else:
                assert_lost(call, route, fault)
                await call.take_a_turn(fault.name)
        await call.take_a_turn("all of them")
        assert call.errors == [] and call.closed == []


async def survive_side_by_side(
    voice_detector: vad.VAD, route: str, faults: Sequence[Fault], conn_options: APIConnectOptions
) -> None:
    """As many sessions as it takes: each fault of recognition makes LiveKit wait half a second."""
    parts = [faults[at::SIDE_BY_SIDE] for at in range(SIDE_BY_SIDE)]
    calls = [survive(voice_detector, route, part, conn_options) for part in parts]
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if outcome is not None:
            raise outcome


@STAGES
async def test_a_fault_costs_one_turn_and_the_next_works(
    voice_detector: vad.VAD, route: str
) -> None:
    faults = [fault for fault in FAULTS[route]() if fault.retried]
    await survive_side_by_side(voice_detector, route, faults, ONCE)


@STAGES
async def test_a_second_attempt_that_goes_well_makes_the_turn_whole(
    voice_detector: vad.VAD, route: str
) -> None:
    """Faults that no second attempt mends are not tried again; they cost the turn."""
    await survive_side_by_side(voice_detector, route, FAULTS[route](), TWICE)


@STAGES
@pytest.mark.parametrize("conn_options", [IMPATIENT, IMPATIENT_TWICE], ids=["lost", "whole"])
async def test_a_session_goes_on_after_silence(
    voice_detector: vad.VAD, route: str, conn_options: APIConnectOptions
) -> None:
    await survive_side_by_side(voice_detector, route, silences(route), conn_options)


@pytest.mark.parametrize("conn_options", [ONCE, TWICE], ids=["lost", "whole"])
async def test_a_fault_in_a_later_sentence_leaves_the_earlier_one_as_it_was(
    voice_detector: vad.VAD, conn_options: APIConnectOptions
) -> None:
    first, second = "The museum opens at nine.", "On Mondays it stays closed all day."
    half = spoken(second)[:2_401]
    async with calling(voice_detector, conn_options=conn_options) as call:
        call.gateway.transcribe.script(Transcript(QUESTION))
        call.gateway.complete.script(Reply(f"{first} {second}"))
        call.gateway.synthesize.script(Speech(spoken(first)), Broken(PCM, half))
        call.caller.speak()
        await call.turn_over()
        heard = call.ear.take()
        whole = spoken(first) + spoken(second)
        assert heard.startswith(spoken(first)) and whole.startswith(heard)
        healed = conn_options.max_retry > 0
        assert (heard == whole) == healed
        assert [each.error.recoverable for each in call.errors] == ([] if healed else [False])
        call.told += [("user", QUESTION), ("assistant", f"{first} {second}")]
        await call.take_a_turn("the second sentence")
