"""What people say is in no log and no error of ours, also when the service says it again."""

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
from tests.helpers.support import tone
from tests.security.calls import Evidence, chain, collecting, fail, hear, reply, speak
from tests.security.faults import Fault, answers_that_fail, refusals, silences

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

EACH_SAID = pytest.mark.parametrize("said", SAID)


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
    """Whether a field shows the mark and its key does not say so."""
    return MARK in f"{value}{value!r}" and "pii" not in key.split(".")


async def replying(fault: Fault, make_client: Any = CLIENT) -> Evidence:
    async with collecting() as evidence, RawServer(fault.answer, hold=fault.hold) as server:
        await fail(evidence, server, reply, make_client, chat_ctx=dialogue())
    return evidence


async def speaking(fault: Fault, make_client: Any = CLIENT) -> Evidence:
    async with collecting() as evidence, RawServer(fault.answer, hold=fault.hold) as server:
        await fail(evidence, server, speak, make_client, text=SPOKEN)
    return evidence


@pytest.mark.parametrize("name", refusals(""))
async def test_an_error_that_says_the_conversation_again_does_not_show_it(name: str) -> None:
    evidence = await replying(refusals(ALL_SAID)[name])
    assert any(where == "error" for where, _ in evidence.texts) and not leaks(evidence)


@pytest.mark.parametrize("name", answers_that_fail(""))
async def test_an_answer_that_says_it_again_does_not_show_it(name: str) -> None:
    assert not leaks(await replying(answers_that_fail(ALL_SAID)[name]))


@pytest.mark.parametrize("name", [*refusals(""), *answers_that_fail(""), *silences()])
async def test_a_text_that_could_not_be_spoken_is_not_shown(name: str) -> None:
    faults = {**refusals(SPOKEN), **answers_that_fail(SPOKEN), **silences()}
    assert not leaks(await speaking(faults[name]))


@pytest.mark.parametrize("ascii_only", [True, False])
@EACH_SAID
async def test_a_request_that_the_service_quotes_as_json_is_not_shown(
    said: str, ascii_only: bool
) -> None:
    """A validator shows the field that it does not like as it came."""
    quoted = json.dumps({"content": SAID[said]}, ensure_ascii=ascii_only)
    assert not leaks(await replying(refusals(f"invalid message {quoted}")["status 400"]))


@pytest.mark.parametrize("name", silences())
async def test_a_line_that_fails_does_not_show_what_was_said(name: str) -> None:
    assert not leaks(await replying(silences()[name]))


@pytest.mark.parametrize("make_client", [CLIENT, OFFICIAL], ids=["Speko", "AsyncSpeko"])
@pytest.mark.parametrize(
    "name", ["json that is none", "json of another form", "event of another form", "text"]
)
async def test_an_answer_that_cannot_be_read_is_not_quoted(name: str, make_client: Any) -> None:
    fault = answers_that_fail(f"You said {MARK}.")[name]
    async with collecting() as evidence, RawServer(fault.answer) as server:
        for stage in (hear, reply):
            await fail(evidence, server, stage, make_client)
    assert not leaks(evidence)


@pytest.mark.parametrize("stage", [hear, reply], ids=["transcript", "reply"])
async def test_an_error_event_that_quotes_what_came_before_it_does_not_show_it(
    stage: Any,
) -> None:
    """What a caller said, or what a model was about to say, and a filter did not like."""
    came = f"My card is {MARK}, thank you."
    error = ErrorEvent(f"content refused: {came}", "REFUSED")
    async with collecting() as evidence, LocalGateway() as gateway:
        gateway.transcribe.always(Transcript("", interim=[came, error]))
        gateway.complete.always(Reply([came, error]))
        client = partial(Speko, api_key=gateway.api_key)
        await fail(evidence, gateway, stage, client)  # type: ignore[arg-type]
    assert any(where == "error" for where, _ in evidence.texts) and not leaks(evidence)


async def test_a_turn_that_goes_well_leaves_nothing_that_was_said_in_our_log() -> None:
    async with collecting() as evidence, LocalGateway() as gateway:
        gateway.transcribe.script(Transcript(f"I am {MARK}.", interim=[f"{MARK}"]))
        gateway.complete.script(Reply(f"Hello {MARK}."))
        gateway.synthesize.script(Speech(tone()))
        client = partial(Speko, api_key=gateway.api_key)
        await fail(evidence, gateway, hear, client)  # type: ignore[arg-type]
        await fail(evidence, gateway, reply, client, chat_ctx=dialogue())  # type: ignore[arg-type]
        await fail(evidence, gateway, speak, client, text=SPOKEN)  # type: ignore[arg-type]
    ours = [record for record in evidence.records if record.name == LOGGER]
    assert len(ours) == 3 and not leaks(evidence)


async def test_registered_tools_that_fail_do_not_show_what_was_said() -> None:
    """Their own parameters and descriptions are nobody's speech; the conversation is."""
    for fault in refusals(SAID["caller"]).values():
        async with collecting() as evidence, RawServer(fault.answer) as server:
            await fail(evidence, server, reply, CLIENT, chat_ctx=dialogue(), agent_id="agent-1")
        told = [r for r in evidence.records if r.name == LOGGER]
        assert told and all(MARK not in r.getMessage() for r in told)


async def test_a_cancelled_call_does_not_show_what_was_said() -> None:
    async with collecting() as evidence, RawServer(b"", hold=True) as server:
        async with CLIENT(base_url=server.base_url) as speko:
            call = reply(speko, evidence, chat_ctx=dialogue())
            with pytest.raises(asyncio.TimeoutError) as raised:
                await asyncio.wait_for(call, 0.1)
    assert all(MARK not in f"{link}{link!r}" for link in chain(raised.value))
    assert not leaks(evidence)
