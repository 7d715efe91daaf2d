"""The example's agent as an author may change it: overrides, an older client, a colleague.

A job's metadata names the overrides that its page may ask for, in `allow`.
"""

from __future__ import annotations

import asyncio
import json

from livekit.agents import Agent, AgentServer, JobContext, cli, function_tool, room_io

from examples import agent as example
from livekit_plugins_speko import Speko, SpekoDataChannel, TurnReporter

# Long enough for a page to send packets meanwhile.
TOOL_S = 1.5
COLLEAGUE = "You are the colleague."


class Talker(example.Assistant):
    """An agent whose tools take a moment."""

    @function_tool
    async def look_up(self) -> str:
        """Look something up."""
        await asyncio.sleep(TOOL_S)
        return "Room 12 is free."

    @function_tool
    async def hang_up(self) -> None:
        """Hang up."""
        self.session.shutdown()


class FrontDesk(Talker):
    """The agent that takes the call."""

    @function_tool
    async def hand_over(self) -> Agent:
        """Hand over to a colleague."""
        await asyncio.sleep(TOOL_S)
        return Talker(COLLEAGUE, "The colleague speaking.")


server = AgentServer()
server.setup_fnc = example.prewarm


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Handle one call."""
    allowed = json.loads(ctx.job.metadata)["allow"]
    channel = SpekoDataChannel(ctx.room, allow_overrides=allowed, transcripts=True)
    ctx.add_shutdown_callback(channel.aclose)
    speko = Speko()
    settings = await example.read_settings(ctx, speko)
    # A page asks as it joins.
    await ctx.wait_for_participant()
    settings = settings.with_overrides(await channel.overrides())
    session, components = example.build_session(speko, ctx.proc.userdata["vad"], settings)
    assert settings.session_id is not None
    reporter = TurnReporter(speko=speko, session_id=settings.session_id)
    reporter.start(session)

    async def close() -> None:
        await reporter.aclose()
        await components.aclose()
        await speko.aclose()

    ctx.add_shutdown_callback(close)
    channel.start(session, components)
    await session.start(
        agent=FrontDesk(settings.system_prompt, settings.first_message),
        room=ctx.room,
        room_options=room_io.RoomOptions(delete_room_on_close=True),
    )


if __name__ == "__main__":
    cli.run_app(server)
