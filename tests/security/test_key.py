"""The API key is in nothing that a call leaves behind, whatever becomes of the call."""

from __future__ import annotations

import asyncio
import traceback
from functools import partial
from typing import Any

import pytest
import spekoai

from livekit_plugins_speko import (
    RegisteredToolsLoader,
    Speko,
    create_speko_components,
)
from livekit_plugins_speko.testing import Gate, LocalGateway, Reply, Speech, Transcript
from tests.helpers.raw_server import RawServer
from tests.helpers.support import tone
from tests.security.calls import (
    STAGES,
    VARIABLES,
    Evidence,
    Stage,
    caught,
    collecting,
    fail,
    reply,
)
from tests.security.faults import Fault, answers_that_fail, header_echoes, refusals, silences

MARK = "KEYMARK"
KEY = f"sk-{MARK}/1+="
REFUSALS = {**refusals(KEY), **silences()}
ANSWERS = answers_that_fail(KEY)
FAULTS = {**REFUSALS, **ANSWERS}
IN_HEADERS = header_echoes(KEY)
CLIENT = partial(Speko, api_key=KEY)
# httpcore logs the headers of every answer as they came, at the debug level.
HTTPCORE = "log httpcore"

EACH_STAGE = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)


async def evidence_of(fault: Fault, stage: Stage, **options: Any) -> Evidence:
    async with collecting() as evidence, RawServer(fault.answer, hold=fault.hold) as server:
        await fail(evidence, server, stage, CLIENT, **options)
    return evidence


@EACH_STAGE
@pytest.mark.parametrize("name", REFUSALS)
async def test_a_fault_does_not_show_the_key(name: str, stage: Stage) -> None:
    evidence = await evidence_of(REFUSALS[name], stage)
    assert not evidence.places_of(MARK)


@EACH_STAGE
@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_that_is_none_does_not_show_the_key(name: str, stage: Stage) -> None:
    """The frames that read it still hold it; no text of ours does."""
    evidence = await evidence_of(ANSWERS[name], stage)
    assert not evidence.places_of(MARK, but_for=VARIABLES)


@EACH_STAGE
@pytest.mark.parametrize("name", IN_HEADERS)
async def test_a_key_in_an_answer_s_headers_is_not_shown(name: str, stage: Stage) -> None:
    evidence = await evidence_of(IN_HEADERS[name], stage)
    assert not evidence.places_of(MARK, but_for=HTTPCORE)


@EACH_STAGE
async def test_a_service_that_is_not_there_does_not_show_the_key(stage: Stage) -> None:
    async with RawServer(b"") as server:
        pass
    async with collecting() as evidence:
        await fail(evidence, server, stage, CLIENT)
    assert not evidence.places_of(MARK)


@pytest.mark.parametrize("callback", [False, True], ids=["logged", "told"])
@pytest.mark.parametrize("name", ["status 401", "status 404", "cut off", "reset", "html"])
async def test_registered_tools_that_fail_do_not_show_the_key(name: str, callback: bool) -> None:
    told: list[Exception] = []
    options = {"on_registered_tools_error": told.append} if callback else {}
    evidence = await evidence_of(FAULTS[name], reply, agent_id="agent-1", **options)
    for error in told:
        evidence.error("callback", error)
    assert bool(told) == callback and not evidence.places_of(MARK)


async def answer_all(gateway: LocalGateway, gate: Gate | None = None) -> None:
    held = [] if gate is None else [gate]
    gateway.transcribe.always(Transcript("hello", interim=["he", *held]))
    gateway.complete.always(Reply(["Hi", *held, " you"]))
    gateway.synthesize.always(Speech([tone(), *held, tone()]))


@EACH_STAGE
async def test_a_cancelled_call_does_not_show_the_key(stage: Stage) -> None:
    async with collecting() as evidence, LocalGateway(api_key=KEY) as gateway:
        gate = Gate()
        await answer_all(gateway, gate)
        async with CLIENT(base_url=gateway.base_url) as speko:
            call = asyncio.create_task(caught(stage(speko, evidence)))
            await gate.reached()
            call.cancel()
            error = await call
    assert isinstance(error, asyncio.CancelledError)
    evidence.error("error", error)
    assert not evidence.places_of(MARK)


@EACH_STAGE
async def test_a_call_that_goes_well_does_not_show_the_key(stage: Stage) -> None:
    async with collecting() as evidence, LocalGateway(api_key=KEY) as gateway:
        await answer_all(gateway)
        await fail(evidence, gateway, stage, CLIENT)  # type: ignore[arg-type]
    places = {where for where, _ in evidence.texts}
    assert {"metrics", "span", "log httpcore.http11", "log httpx", "log asyncio"} <= places
    assert "error" not in places and not evidence.places_of(MARK)


async def test_no_object_s_repr_shows_the_key(voice_detector: Any) -> None:
    async with CLIENT() as speko:
        parts = create_speko_components(speko=speko, vad=voice_detector, intent={"language": "en"})
        loader = RegisteredToolsLoader(speko=speko, agent_id="agent-1")
        objects = [speko, speko.agents, speko.agents.tools, *vars(speko).values(), parts, *parts]
        told = [f"{each!r} {each}" for each in [*objects, loader, parts.stt.wrapped_stt]]
        await parts.aclose()
    assert MARK not in "".join(told)


@pytest.mark.parametrize(
    "options",
    [{"base_url": "ftp://speko.example"}, {"timeout": 0}, {"http_client": "none"}],
    ids=str,
)
def test_a_constructor_that_refuses_an_option_does_not_show_the_key(options: Any) -> None:
    with pytest.raises((ValueError, TypeError)) as raised:
        CLIENT(**options)
    assert MARK not in "".join(traceback.format_exception(raised.value)) + repr(raised.value)


@pytest.mark.parametrize("option", [{"base_url": "ftp://speko.example"}, {"timeout": 0}], ids=str)
def test_a_tracker_can_show_the_frames_of_a_constructor_that_refuses(option: Any) -> None:
    """It asks a client for its repr that was not made to its end."""
    with pytest.raises(ValueError) as raised:
        Speko(api_key="sk-1", **option)
    told = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    assert str(raised.value) in "".join(told.format())


@EACH_STAGE
@pytest.mark.parametrize("name", [*silences(), "json that is none", "text"])
async def test_with_the_official_client_a_fault_does_not_show_the_key(
    name: str, stage: Stage
) -> None:
    """What it quotes of the service's own words in an error is its own affair."""
    fault, make_client = FAULTS[name], partial(spekoai.AsyncSpeko, api_key=KEY)
    async with collecting() as evidence, RawServer(fault.answer, hold=fault.hold) as server:
        await fail(evidence, server, stage, make_client)
    assert not evidence.places_of(MARK, but_for=VARIABLES if name in ANSWERS else "nowhere")
