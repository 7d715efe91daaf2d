"""Rows of a tool call: each is answered exactly once, and a loop of them ends."""

from __future__ import annotations

from collections.abc import Sequence

from livekit.agents import StopResponse

from livekit_plugins_speko.realtime.tool_calls import MOST_IN_A_ROW
from livekit_plugins_speko.testing import Interruption, ToolCall
from tests.faults.realtime.call import LONG_S, STORY, Call, tool_call
from tests.faults.realtime.drops import RESULT
from tests.faults.realtime.interruptions import INTERRUPTION
from tests.faults.realtime.rows import FORMS, RealtimeRow, Scenario, each_form, interrupt
from tests.faults.realtime.service import CUT, FIRST, agent, reply, user, voice

QUESTION = user("And in Rome?")


async def hangs(call: Call) -> None:
    """The model talks on and may be interrupted; it is told the result once there is one."""
    await call.service.connected()
    call.realtime.tool_flow.patience_s = 0.2
    await call.run_a_tool()
    await call.service.connections[-1].arrived("tool_result")
    await call.service.play(reply("One moment.", FIRST))
    await call.until(lambda: call.history[-1] == ("assistant", "One moment."), "the reply")
    await call.service.play(user("Hello?"), agent(STORY), voice(CUT, LONG_S))
    await call.until_heard(CUT, 0.3)
    await interrupt(call, *INTERRUPTION[call.form])
    await call.service.play(user("Never mind."), reply("Fine.", FIRST))
    await call.until(lambda: call.history[-1] == ("assistant", "Fine."), "the reply")
    call.tool.may_end.set()
    await call.service.connected(2)
    await call.until_asked()
    await call.reply_to_the_result()


def returning(result: str | Exception, told: str) -> Scenario:
    """A tool that ends at once, as it does; the model is told so and replies."""

    async def scenario(call: Call) -> None:
        call.tool.result = result
        await call.have_a_result()
        assert told in call.service.connections[-1].received("tool_result")[0].text
        await call.reply_to_the_result()

    return scenario


def calling(*calls: ToolCall) -> Scenario:
    """Calls that LiveKit answers; the model then replies."""

    async def scenario(call: Call) -> None:
        call.tool.may_end.set()
        await call.greet()
        await call.service.play(QUESTION, *calls)
        answered = {each.id for each in calls}
        await call.service.connections[-1].arrived("tool_result", count=len(answered))
        await call.reply_to_the_result()

    return scenario


async def loops(call: Call) -> None:
    """The model calls a tool over and over; the eleventh call is answered without being run."""
    call.tool.may_end.set()
    await call.greet()
    await call.service.play(QUESTION)
    for number in range(MOST_IN_A_ROW + 2):
        await call.service.play(tool_call(f"call-{number}"))
        await call.service.connections[-1].arrived("tool_result", count=number + 1)
    assert call.tool.runs == MOST_IN_A_ROW
    await call.reply_to_the_result()


async def gets_no_reply(call: Call) -> None:
    await call.have_a_result()


async def interrupted(call: Call) -> None:
    """The caller speaks while the tool runs: it ends all the same."""
    await call.run_a_tool()
    await call.service.play(*INTERRUPTION[call.form])
    call.tool.may_end.set()
    await call.service.connections[-1].arrived("tool_result")


async def interrupted_with_a_reply(call: Call) -> None:
    """The caller interrupts the words that come with a call, while its tool runs."""
    await call.greet()
    await call.service.play(QUESTION, agent(STORY), voice(CUT, LONG_S), tool_call())
    await call.until_heard(CUT, 0.3)
    await interrupt(call, *INTERRUPTION[call.form])
    call.tool.may_end.set()
    await call.service.connections[-1].arrived("tool_result")


async def overtaken(call: Call) -> None:
    """The caller speaks before the tool is run."""
    call.tool.may_end.set()
    await call.greet()
    await call.service.play(QUESTION, tool_call(), Interruption(), *INTERRUPTION[call.form][1:])
    await call.service.connections[-1].arrived("tool_result")


def row(fault: str, scenario: Scenario, forms: Sequence[str] = FORMS) -> RealtimeRow:
    return RealtimeRow(fault=fault, scenario=scenario, forms=forms)


ROWS = each_form(
    "calls",
    [
        RealtimeRow(
            fault="a tool that hangs, and barge-in",
            scenario=hangs,
            sessions=2,
            connections=2,
            knows=[RESULT],
            forms=FORMS,
        ),
        row("a tool that fails", returning(RuntimeError("bug"), "error")),
        row("a tool that ends with StopResponse", returning(StopResponse(), "")),
        row("a tool that is unknown", calling(tool_call(name="unknown"))),
        row("a call whose arguments are no JSON", calling(tool_call(args="{broken")), FORMS[:2]),
        row("two calls in a reply", calling(tool_call("call-1"), tool_call("call-2"))),
        row("a call that comes twice", calling(tool_call(), tool_call())),
        row("a loop of calls", loops),
        row("a result without a reply", gets_no_reply, FORMS[:1]),
        row("interrupted in a tool call", interrupted),
        row("interrupted in a tool call's reply", interrupted_with_a_reply),
        row("interrupted before the tool runs", overtaken),
    ],
)
