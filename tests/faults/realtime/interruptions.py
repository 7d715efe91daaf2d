"""Rows of a caller, or an author, who interrupts the agent."""

from __future__ import annotations

from livekit_plugins_speko.testing import DropConnection, EndOfReply, Interruption
from tests.faults.realtime.call import LONG_S, STORY, UNHEARD, Call
from tests.faults.realtime.drops import GREETING, LOST
from tests.faults.realtime.rows import FORMS, RealtimeRow, interrupt
from tests.faults.realtime.service import CUT, FIRST, REST, Step, agent, reply, user, voice

# Gemini ends the turn that was interrupted, and with it the caller's line.
INTERRUPTION: dict[str, tuple[Step, ...]] = {
    "proxy": (Interruption(),),
    "xai": (Interruption(),),
    "google": (Interruption(), EndOfReply()),
}


def interrupted(name: str, *steps: Step) -> RealtimeRow:
    """An interruption of a long reply."""

    async def scenario(call: Call) -> None:
        await call.hear_a_story()
        await interrupt(call, *(steps or INTERRUPTION[call.form]))

    return RealtimeRow(fault=name, scenario=scenario, forms=FORMS)


async def interrupts_the_rest(call: Call) -> None:
    """A complete reply, of which the caller hears the beginning."""
    await call.ask()
    await call.service.play(reply(STORY, CUT, LONG_S))
    await call.until_heard(CUT, 0.3)
    await interrupt(call, Interruption())


async def words_interrupt(call: Call) -> None:
    """The caller's first words come before the service calls them an interruption."""
    await call.hear_a_story()
    await interrupt(call, user("Stop", final=False))
    end = () if call.form == "proxy" else (EndOfReply(),)
    await call.service.play(user("Stop it."), *end, reply("Fine.", FIRST))
    await call.until_said("Fine.")


async def interrupts_nothing(call: Call) -> None:
    await call.greet()
    await call.service.play(Interruption(), Interruption())


async def interrupts_before_the_reply(call: Call) -> None:
    await call.ask()
    await call.service.play(*INTERRUPTION[call.form])


async def author_interrupts(call: Call) -> None:
    """The agent's own code interrupts: the service is asked to, once."""
    await call.hear_a_story()
    connection = call.service.connections[-1]
    before_s = call.seconds_of(CUT)
    interrupting = call.session.interrupt()
    await connection.arrived("interrupt")
    # A rest that came much later would be another reply.
    await call.service.play(voice(REST, 0.5), agent(STORY, final=True), EndOfReply())
    await interrupting
    call.silent_after_s = call.seconds_of(CUT) - before_s
    assert len(connection.received("interrupt")) == 1


async def interrupts_and_drops(call: Call) -> None:
    """The model of the next session knows the word that was heard, and no other."""
    await call.hear_a_story()
    await interrupt(call, Interruption())
    await call.until_state("listening")
    await call.service.play(DropConnection())


def interruptions() -> list[RealtimeRow]:
    rest = (Interruption(), voice(REST, 0.5), agent(STORY, final=True), EndOfReply())
    return [
        interrupted("interrupted in a reply"),
        interrupted("interrupted, its late rest follows", *rest),
        interrupted("interrupted twice, with rests", *rest[:2], *rest),
        RealtimeRow(
            fault="interrupted by the caller's words", scenario=words_interrupt, forms=FORMS
        ),
        RealtimeRow(
            fault="interrupted once it is complete", scenario=interrupts_the_rest, forms=FORMS
        ),
        RealtimeRow(fault="interrupted without a reply", scenario=interrupts_nothing, forms=FORMS),
        RealtimeRow(
            fault="interrupted before the reply",
            scenario=interrupts_before_the_reply,
            forms=FORMS,
        ),
        RealtimeRow(fault="session.interrupt()", scenario=author_interrupts, forms=FORMS),
        RealtimeRow(
            fault="interrupted, then dropped",
            scenario=interrupts_and_drops,
            error=LOST,
            reports=1,
            sessions=2,
            connections=2,
            knows=GREETING,
            lacks=(UNHEARD,),
            forms=FORMS,
        ),
    ]
