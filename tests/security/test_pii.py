"""What people say is in none of our logs and errors, even when the service repeats it."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import pytest
import spekoai
from livekit.agents import llm

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import ErrorEvent, LocalGateway, Reply, Speech, Transcript
from tests.helpers.raw_server import RawServer
from tests.helpers.support import NO_RETRY, tone
from tests.security.calls import SOON, Evidence, Stage, chain, collecting, fail, hear, reply, speak
from tests.security.faults import Fault, refusals, silences, unreadable

LOGGER = "livekit.plugins.speko"
MARK = "PIIMARK"
CLIENT = partial(Speko, api_key="sk-1")
OFFICIAL = partial(spekoai.AsyncSpeko, api_key="sk-1")

SAID = {
    "prompt": f'Be kind to "{MARK}",\nalways.',
    "caller": f"My name is {MARK}, grüß dich\\dort.",
    "reply": f"Hello {MARK} 🙂.",
    "arguments": json.dumps({"name": f"{MARK} 1"}),
    "result": f"{MARK} owes 12 €.",
}
SPOKEN = f'I am "{MARK}".\nAnd you?'
ALL_SAID = ", ".join(SAID.values())


def dialogue() -> llm.ChatContext:
    """A conversation with each kind of thing that is said in one."""
    context = llm.ChatContext.empty()
    context.add_message(role="system", content=SAID["prompt"])
    context.add_message(role="assistant", content=SAID["reply"])
    context.items += [
        llm.FunctionCall(call_id="c1", name="look_up", arguments=SAID["arguments"]),
        llm.FunctionCallOutput(call_id="c1", name="look_up", output=SAID["result"], is_error=False),
    ]
    context.add_message(role="user", content=SAID["caller"])
    return context


def leaks(evidence: Evidence) -> list[str]:
    """The errors that show the mark, and the fields of our records that show it openly."""
    found = [text for where, text in evidence.texts if where.startswith("error") and MARK in text]
    for record in evidence.records:
        if record.name == LOGGER:
            fields = vars(record).items()
            found += [f"{key}={value}" for key, value in fields if shows(key, value)]
    return found


def shows(key: str, value: Any) -> bool:
    """Whether a field shows the mark without saying so in its key."""
    return MARK in f"{value}{value!r}" and "pii" not in key.split(".")


async def evidence_of(
    fault: Fault, *stages: Stage, make_client: Any = CLIENT, **options: Any
) -> Evidence:
    options = {"conn_options": SOON if fault.hold else NO_RETRY, **options}
    async with collecting() as evidence, RawServer(fault.answer, hold=fault.hold) as server:
        for stage in stages:
            await fail(evidence, server, stage, make_client, **options)
    return evidence


@pytest.mark.parametrize("name", [*refusals(""), *unreadable(""), *silences()])
async def test_a_fault_that_repeats_the_conversation_does_not_show_it(name: str) -> None:
    fault = {**refusals(ALL_SAID), **unreadable(ALL_SAID), **silences()}[name]
    evidence = await evidence_of(fault, reply, chat_ctx=dialogue())
    assert any(where == "error" for where, _ in evidence.texts) and not leaks(evidence)


@pytest.mark.parametrize("name", ["status 401", "often", "text", "no wav"])
async def test_a_text_that_could_not_be_spoken_is_not_shown(name: str) -> None:
    fault = {**refusals(SPOKEN), **unreadable(SPOKEN)}[name]
    assert not leaks(await evidence_of(fault, speak, text=SPOKEN))


@pytest.mark.parametrize("ascii_only", [True, False])
async def test_a_request_that_the_service_quotes_as_json_is_not_shown(ascii_only: bool) -> None:
    """A validator quotes the field that it refuses."""
    for said in SAID.values():
        quoted = json.dumps({"content": said}, ensure_ascii=ascii_only)
        fault = refusals(f"invalid message {quoted}")["status 503"]
        assert not leaks(await evidence_of(fault, reply, chat_ctx=dialogue()))


@pytest.mark.parametrize("make_client", [CLIENT, OFFICIAL], ids=["Speko", "AsyncSpeko"])
@pytest.mark.parametrize(
    "name", ["json that is none", "json of another form", "event of another form", "text"]
)
async def test_a_response_that_cannot_be_parsed_is_not_quoted(name: str, make_client: Any) -> None:
    fault = unreadable(f"You said {MARK}.")[name]
    assert not leaks(await evidence_of(fault, hear, reply, make_client=make_client))


@pytest.mark.parametrize("stage", [hear, reply], ids=["transcript", "reply"])
async def test_an_error_event_that_quotes_earlier_events_does_not_show_them(stage: Any) -> None:
    """Such as a filter that refuses what a caller said, or what a model was about to say."""
    came = f"My card is {MARK}, thank you."
    error = ErrorEvent(f"content refused: {came}", "REFUSED")
    async with collecting() as evidence, LocalGateway() as gateway:
        gateway.transcribe.always(Transcript("", interim=[came, error]))
        gateway.complete.always(Reply([came, error]))
        await fail(evidence, gateway, stage, partial(Speko, api_key=gateway.api_key))
    assert any(where == "error" for where, _ in evidence.texts) and not leaks(evidence)


async def test_a_completed_turn_leaves_nothing_that_was_said_in_our_log() -> None:
    async with collecting() as evidence, LocalGateway() as gateway:
        gateway.transcribe.script(Transcript(f"I am {MARK}.", interim=[f"{MARK}"]))
        gateway.complete.script(Reply(f"Hello {MARK}."))
        gateway.synthesize.script(Speech(tone()))
        client = partial(Speko, api_key=gateway.api_key)
        await fail(evidence, gateway, hear, client)
        await fail(evidence, gateway, reply, client, chat_ctx=dialogue())
        await fail(evidence, gateway, speak, client, text=SPOKEN)
    ours = [record for record in evidence.records if record.name == LOGGER]
    assert len(ours) == 3 and not leaks(evidence)


async def test_registered_tools_that_fail_do_not_show_what_was_said() -> None:
    """Their own parameters and descriptions are no speech; the conversation is."""
    for name in ("status 401", "status 503", "often"):
        fault = refusals(SAID["caller"])[name]
        evidence = await evidence_of(fault, reply, chat_ctx=dialogue(), agent_id="agent-1")
        ours = [each for each in evidence.records if each.name == LOGGER]
        assert ours and all(MARK not in each.getMessage() for each in ours)


async def test_a_cancelled_call_does_not_show_what_was_said() -> None:
    async with collecting() as evidence, RawServer(b"", hold=True) as server:
        async with CLIENT(base_url=server.base_url) as speko:
            call = reply(speko, evidence, chat_ctx=dialogue())
            with pytest.raises(asyncio.TimeoutError) as raised:
                await asyncio.wait_for(call, 0.1)
    assert all(MARK not in f"{link}{link!r}" for link in chain(raised.value))
    assert not leaks(evidence)
