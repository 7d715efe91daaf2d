"""The API key is in no log, error, metric, span or repr, however a call ends."""

from __future__ import annotations

import asyncio
import traceback
from functools import partial
from typing import Any

import pytest
import spekoai

from livekit_plugins_speko import RegisteredToolsLoader, Speko, create_speko_components
from livekit_plugins_speko.testing import Gate, LocalGateway, Reply, Speech, Transcript
from tests.helpers.raw_server import RawServer
from tests.helpers.support import NO_RETRY, tone
from tests.security.calls import (
    SOON,
    STAGES,
    VARIABLES,
    Evidence,
    Stage,
    caught,
    collecting,
    fail,
    hear,
    reply,
    speak,
)
from tests.security.faults import Fault, header_echoes, refusals, silences, unreadable

MARK = "KEYMARK"
KEY = f"sk-{MARK}/1+="
REFUSALS = {**refusals(KEY), **silences()}
UNREADABLE = unreadable(KEY)
IN_HEADERS = header_echoes(KEY)
FAULTS = {**REFUSALS, **UNREADABLE, **IN_HEADERS}
CLIENT = partial(Speko, api_key=KEY)

# Every fault through one adapter, and through the others what each of them reads by itself.
EACH_FAULT = [
    *((name, reply) for name in FAULTS),
    *((name, hear) for name in ("status 401", "reset", "stall", "json that is none")),
    *((name, hear) for name in ("error event", "event that is no json", "bad header")),
    *((name, speak) for name in ("status 401", "reset", "silence", "broken audio")),
    *((name, speak) for name in ("no wav", "text", "content type")),
]
EACH_STAGE = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__)


def excused(name: str) -> str:
    """The place that may show the key."""
    if name in UNREADABLE:
        return VARIABLES  # the frames that parse the response
    if name in IN_HEADERS:
        return "log httpcore"  # it logs every header as it came
    return "nowhere"


async def evidence_of(
    fault: Fault, stage: Stage, make_client: Any = CLIENT, **options: Any
) -> Evidence:
    options = {"conn_options": SOON if fault.hold else NO_RETRY, **options}
    async with collecting() as evidence, RawServer(fault.answer, hold=fault.hold) as server:
        await fail(evidence, server, stage, make_client, **options)
    return evidence


@pytest.mark.parametrize(
    ("name", "stage"), EACH_FAULT, ids=[f"{name}-{stage.__name__}" for name, stage in EACH_FAULT]
)
async def test_a_fault_does_not_show_the_key(name: str, stage: Stage) -> None:
    evidence = await evidence_of(FAULTS[name], stage)
    assert not evidence.places_of(MARK, but_for=excused(name))


@EACH_STAGE
async def test_a_refused_connection_does_not_show_the_key(stage: Stage) -> None:
    async with RawServer(b"") as server:
        pass
    async with collecting() as evidence:
        await fail(evidence, server, stage, CLIENT)
    assert not evidence.places_of(MARK)


@pytest.mark.parametrize("callback", [False, True], ids=["logged", "reported"])
@pytest.mark.parametrize("name", ["status 401", "cut off", "reset"])
async def test_registered_tools_that_fail_do_not_show_the_key(name: str, callback: bool) -> None:
    reports: list[Exception] = []
    options = {"on_registered_tools_error": reports.append} if callback else {}
    evidence = await evidence_of(FAULTS[name], reply, agent_id="agent-1", **options)
    for error in reports:
        evidence.error("callback", error)
    assert bool(reports) == callback and not evidence.places_of(MARK)


def answer_all(gateway: LocalGateway, *held: Gate) -> None:
    gateway.transcribe.always(Transcript("hello", interim=["he", *held]))
    gateway.complete.always(Reply(["Hi", *held, " you"]))
    gateway.synthesize.always(Speech([tone(), *held, tone()]))


@EACH_STAGE
async def test_a_cancelled_call_does_not_show_the_key(stage: Stage) -> None:
    async with collecting() as evidence, LocalGateway(api_key=KEY) as gateway:
        gate = Gate()
        answer_all(gateway, gate)
        async with CLIENT(base_url=gateway.base_url) as speko:
            call = asyncio.create_task(caught(stage(speko, evidence)))
            await gate.reached()
            call.cancel()
            error = await call
    assert isinstance(error, asyncio.CancelledError)
    evidence.error("error", error)
    assert not evidence.places_of(MARK)


@EACH_STAGE
async def test_a_completed_call_does_not_show_the_key(stage: Stage) -> None:
    async with collecting() as evidence, LocalGateway(api_key=KEY) as gateway:
        answer_all(gateway)
        await fail(evidence, gateway, stage, CLIENT)
    places = {where for where, _ in evidence.texts}
    assert {"metrics", "span", "log httpcore.http11", "log asyncio"} <= places
    assert "error" not in places and not evidence.places_of(MARK)


async def test_no_repr_shows_the_key(voice_detector: Any) -> None:
    async with CLIENT() as speko:
        parts = create_speko_components(speko=speko, vad=voice_detector, intent={"language": "en"})
        loader = RegisteredToolsLoader(speko=speko, agent_id="agent-1")
        objects = [speko, speko.agents, speko.agents.tools, *vars(speko).values(), parts, *parts]
        shown = [f"{each!r} {each}" for each in [*objects, loader, parts.stt.wrapped_stt]]
        await parts.aclose()
    assert MARK not in "".join(shown)


@pytest.mark.parametrize(
    "options",
    [{"base_url": "ftp://speko.example"}, {"timeout": 0}, {"http_client": "none"}],
    ids=str,
)
def test_a_refused_option_does_not_show_the_key(options: Any) -> None:
    """An error tracker may ask the unfinished client for its repr."""
    with pytest.raises((ValueError, TypeError)) as raised:
        CLIENT(**options)
    assert MARK not in "".join(traceback.format_exception(raised.value)) + repr(raised.value)
    tracked = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    assert str(raised.value) in "".join(tracked.format())


@pytest.mark.parametrize("name", ["reset", "silence", "no http", "json that is none"])
async def test_a_fault_of_the_official_client_does_not_show_the_key(name: str) -> None:
    make_client = partial(spekoai.AsyncSpeko, api_key=KEY)
    evidence = await evidence_of(FAULTS[name], reply, make_client)
    assert not evidence.places_of(MARK, but_for=excused(name))
