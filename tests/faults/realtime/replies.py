"""Rows of a reply that is odd."""

from __future__ import annotations

import json
from typing import Any

from livekit_plugins_speko.api.limits import MAX_EVENT_BYTES
from livekit_plugins_speko.testing import (
    DropConnection,
    EndOfReply,
    ErrorEvent,
    Hang,
    RawFrame,
    RealtimeReady,
)
from tests.faults.realtime.call import STORY, Call
from tests.faults.realtime.drops import GREETING, LOST
from tests.faults.realtime.interruptions import INTERRUPTION, interruptions
from tests.faults.realtime.rows import FORMS, RealtimeRow, Scenario, each_form, interrupt
from tests.faults.realtime.service import CUT, FIRST, Step, agent, reply, voice

SAID = "Once upon a time."
HEARD = ((FIRST, 0.1), (CUT, 0.3))
GARBAGE = ('{"t": "transc', "nonsense", "", "[1]", "null", '"t"', "[" * 10_000, "NaN")
NOT_UTF_8 = b"{\xff\xfe}"
UNKNOWN: dict[str, list[Any]] = {
    "proxy": [
        {"t": "weather"},
        {"t": 7},
        {},
        {"t": "transcript", "role": "narrator", "text": "Hm."},
        {"t": "transcript", "role": "assistant", "text": None},
        {"t": "tool_call", "name": "get_time"},
    ],
    "xai": [
        {"type": "rate_limits.updated", "rate_limits": []},
        {"type": None},
        {"type": "response.output_audio.delta", "delta": 7},
        {"type": "response.output_audio.delta", "delta": "no base64!"},
        {"type": "response.function_call_arguments.done", "name": "get_time"},
    ],
    "google": [
        {"goAway": {"timeLeft": "10s"}},
        {"serverContent": None},
        {"serverContent": {"modelTurn": {"parts": [{"inlineData": {"data": 7}}, None]}}},
        {"toolCall": {"functionCalls": [{"name": "get_time"}]}},
    ],
}


def heard_whole(*before: Step, after: tuple[Step, ...] = (), **more: Any) -> Scenario:
    """A reply with odd frames before its middle and after it, and heard whole."""

    async def scenario(call: Call) -> None:
        await call.ask()
        frames = (agent("Once upon"), voice(CUT, 0.1), *before, voice(CUT, 0.2), *after)
        await call.service.play(*frames, agent(SAID, final=True), EndOfReply(**more))
        await call.until_said(SAID)

    return scenario


def frames(name: str, *steps: Step, form: str = "proxy", **more: Any) -> RealtimeRow:
    """Frames in the middle of a reply that change nothing."""
    return RealtimeRow(fault=name, scenario=heard_whole(*steps), hears=HEARD, forms=(form,), **more)


async def stalls(call: Call) -> None:
    """Nothing more comes of a reply. xAI names the next one, Gemini calls this one interrupted."""
    await call.hear_a_part(0.3)
    await call.settle(1, closes=False)
    if call.form == "xai":
        created = {"type": "response.created", "response": {"id": "next"}}
        await call.service.play(RawFrame(json.dumps(created)))
    elif call.form == "google":
        await call.service.play(*INTERRUPTION[call.form])


async def hangs(call: Call) -> None:
    """The service reads and sends nothing more, and answers no ping."""
    await call.ask()
    await call.service.play(agent("Once upon"), voice(CUT, 0.3), Hang())


async def odd_lengths(call: Call) -> None:
    await call.ask()
    await call.service.play(reply(SAID, CUT, 0.3, chunk_bytes=1_501))
    await call.until_said(SAID)


async def changed_rate(call: Call) -> None:
    """The second half of a reply has another rate; it is as long as the first."""
    await call.ask()
    slow = (RealtimeReady(output_rate_hz=16_000), voice(CUT, 0.2, rate=16_000))
    await call.service.play(voice(CUT, 0.2), *slow, agent(SAID, final=True), EndOfReply())
    await call.until_said(SAID)
    await call.service.play(RealtimeReady(output_rate_hz=24_000))
    seconds = len(call.speaker.played) / 48_000 - 0.1
    assert 0.39 < seconds < 0.41


async def a_megabyte(call: Call) -> None:
    """A frame of 20 s of audio: an interruption ends it as any other."""
    await call.ask()
    await call.service.play(agent(STORY), voice(CUT, 1_000_000 / 48_000))
    await call.until_heard(CUT, 0.3)
    await interrupt(call, *INTERRUPTION[call.form])


def too_large(form: str) -> RealtimeRow:
    text = json.dumps({"t": "x", "type": "x", "text": "x" * MAX_EVENT_BYTES})

    async def scenario(call: Call) -> None:
        await call.hear_a_part(0.3)
        await call.service.play(RawFrame(text))

    return RealtimeRow(
        fault="a frame above 4 MB",
        scenario=scenario,
        error=LOST,
        reports=1,
        sessions=2,
        connections=2,
        knows=(*GREETING, "You: Once upon"),
        forms=(form,),
    )


async def out_of_money(call: Call) -> None:
    await call.greet()
    await call.service.play(ErrorEvent("no money", "INSUFFICIENT_CREDITS"), DropConnection())


def odd_frames() -> list[RealtimeRow]:
    unknown = RawFrame(json.dumps({"t": "x", "type": "x", "text": "x" * 1_000_000}))
    busy = ErrorEvent("busy", "BUSY")
    return [
        *(frames("text of 1 MB", unknown, form=form) for form in FORMS),
        *(too_large(form) for form in FORMS),
        *(frames("JSON that is none", *map(RawFrame, GARBAGE), form=form) for form in FORMS),
        *(frames("bytes that are no JSON", RawFrame(NOT_UTF_8), form=form) for form in FORMS[1:]),
        *(
            frames("unknown and half frames", *map(RawFrame, map(json.dumps, each)), form=form)
            for form, each in UNKNOWN.items()
        ),
        *(
            frames("an error in a reply", busy, form=form, reports=1, error="APIError, BUSY")
            for form in FORMS
        ),
    ]


def odd_replies() -> list[RealtimeRow]:
    never = heard_whole(usage=False)
    return [
        RealtimeRow(fault="a stall in a reply", scenario=stalls, hears=HEARD, forms=FORMS),
        RealtimeRow(
            fault="the wire hangs in a reply",
            scenario=hangs,
            error=LOST,
            reports=1,
            sessions=2,
            connections=2,
            knows=(*GREETING, "You: Once upon"),
        ),
        RealtimeRow(fault="usage never comes", scenario=never, hears=HEARD, forms=FORMS),
        RealtimeRow(
            fault="frames of an odd length", scenario=odd_lengths, hears=HEARD, forms=FORMS
        ),
        RealtimeRow(
            fault="another rate in a reply", scenario=changed_rate, forms=("proxy", "google")
        ),
        RealtimeRow(
            fault="audio of 1 MB, interrupted",
            scenario=a_megabyte,
            synchronized=False,
            forms=FORMS,
        ),
        RealtimeRow(
            fault="an error without credits, then a drop",
            scenario=out_of_money,
            closes="APIStatusError 402",
            reports=1,
            forms=FORMS,
        ),
    ]


ROWS = each_form("replies", [*odd_replies(), *odd_frames(), *interruptions()])
