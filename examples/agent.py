"""A voice agent on Speko: copy this file, and change what it says.

    python examples/agent.py console      talk to it here, through this machine's microphone
    python examples/agent.py dev          wait for calls from a LiveKit server
    python examples/agent.py start        the same in production

It needs SPEKO_API_KEY; `dev` and `start` need LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET.
With SPEKO_STREAMING=1 it recognises callers while they speak, for providers that can.
With SPEKO_TRANSCRIPTS=1 it also writes to pages with an older client of Speko's (0.0.3).
With LIVEKIT_AGENT_NAME set it takes only the calls that ask for it by that name.
A job's metadata may hold settings for its session, as Speko writes them:

    {"sessionId": "...", "intent": {"language": "es-MX", "optimizeFor": "latency"},
     "voice": "sophia", "constraints": {"allowedProviders": {"stt": ["deepgram"]}},
     "systemPrompt": "...", "firstMessage": "...", "agentId": "..."}
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

import httpx
from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    ConversationItemAddedEvent,
    JobContext,
    JobProcess,
    cli,
    function_tool,
    llm,
    room_io,
    vad,
)
from livekit.plugins import silero

from livekit_plugins_speko import (
    Intent,
    SessionSettings,
    Speko,
    SpekoApiError,
    SpekoComponents,
    SpekoDataChannel,
    TurnReporter,
    create_speko_components,
)

logger = logging.getLogger("speko-agent")

STREAMING = os.environ.get("SPEKO_STREAMING", "") == "1"
# A newer client shows LiveKit's transcriptions, and would show each line twice.
TRANSCRIPTS = os.environ.get("SPEKO_TRANSCRIPTS", "") == "1"
INTENT = Intent("en-US", optimize_for="latency")
# Any page can ask for anything: name what a page of yours may change, such as "language".
ALLOWED_OVERRIDES: tuple[str, ...] = ()
GREETING = "Hello, this is the front desk. How can I help you?"
SYSTEM_PROMPT = (
    "You are the front desk of a small hotel and talk to callers on the phone. Answer in one or "
    "two short sentences, without lists or symbols. Ask when you did not understand."
)


class Assistant(Agent):
    """The hotel's front desk."""

    def __init__(self, system_prompt: str | None = None, greeting: str | None = None) -> None:
        super().__init__(instructions=SYSTEM_PROMPT if system_prompt is None else system_prompt)
        self._greeting = GREETING if greeting is None else greeting

    async def on_enter(self) -> None:
        """Greet the caller without waiting for a model."""
        if self._greeting:
            self.session.say(self._greeting)

    @function_tool
    async def get_local_time(self, city: str) -> str:
        """Tell the current local time in a city.

        Args:
            city: The city, in English, such as Tokyo.
        """
        zones = {zone.rpartition("/")[2].replace("_", " ").lower(): zone for zone in _zones()}
        zone = zones.get(city.strip().lower())
        if zone is None:
            raise llm.ToolError(f"The time zone of {city} is not known here.")
        return f"{datetime.now(ZoneInfo(zone)):%H:%M} in {city}"


def _zones() -> list[str]:
    return sorted(zone for zone in available_timezones() if "/" in zone)


def build_session(
    speko: Speko, voice_detector: vad.VAD, settings: SessionSettings, *, streaming: bool = False
) -> tuple[AgentSession[None], SpekoComponents]:
    """Make a session and its components; close both after the call."""
    components = create_speko_components(
        speko=speko,
        vad=voice_detector,
        **settings.for_components(
            # The reply begins 0.35 s sooner, at the cost of a wasted request when a caller pauses
            # in a sentence. With `streaming` another 0.15 s, and only the beginning of a reply is
            # wasted.
            stt_options={"eager": True, "streaming": streaming},
            tts_options={
                # A failover may change the audio's rate in the middle of a call.
                "convert_audio": True,
                "spoken_form": True,
                # The reply's first clause is spoken while the model writes the rest; the voice does
                # not know the rest of the sentence yet.
                "first_words": "clause",
            },
        ),
    )
    session = AgentSession[None](
        stt=components.stt,
        llm=components.llm,
        tts=components.tts,
        vad=voice_detector,
        # Both run locally. LiveKit's own turn detector is an alternative where it can be reached.
        turn_handling={"turn_detection": "vad", "interruption": {"mode": "vad"}},
    )
    return session, components


def log_turns(session: AgentSession[None]) -> None:
    """Log the latencies of each turn, never its words."""

    def on_item(event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, llm.ChatMessage):
            logger.info("turn", extra={"role": event.item.role, **event.item.metrics})

    session.on("conversation_item_added", on_item)


server = AgentServer()


def prewarm(process: JobProcess) -> None:
    """Load the VAD that all calls of this process share, before the first call."""
    process.userdata["vad"] = silero.VAD.load()


server.setup_fnc = prewarm


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Handle one call."""
    # Before the room is joined, since what a page sends is not kept for those who join later.
    channel = SpekoDataChannel(ctx.room, allow_overrides=ALLOWED_OVERRIDES, transcripts=TRANSCRIPTS)
    ctx.add_shutdown_callback(channel.aclose)
    speko = Speko()
    try:
        settings = await read_settings(ctx, speko)
        if ALLOWED_OVERRIDES:
            # A page asks as it joins, which may be after this agent.
            await ctx.wait_for_participant()
            settings = settings.with_overrides(await channel.overrides())
        session, components = build_session(
            speko, ctx.proc.userdata["vad"], settings, streaming=STREAMING
        )
    except (ValueError, SpekoApiError, httpx.HTTPError) as error:
        logger.error("the call can't be taken: %s", error)
        await speko.aclose()
        # The caller would wait in a silent room.
        await ctx.delete_room(ctx.job.room.name)
        ctx.shutdown(reason="bad settings")
        return
    reporter = None
    if settings.session_id is not None:
        reporter = TurnReporter(speko=speko, session_id=settings.session_id)
        reporter.start(session)

    async def close() -> None:
        logger.info("usage", extra={"usage": [str(model) for model in session.usage.model_usage]})
        if reporter is not None:
            await reporter.aclose()
        await components.aclose()
        await speko.aclose()

    ctx.add_shutdown_callback(close)
    log_turns(session)
    channel.start(session, components)
    await session.start(
        agent=Assistant(settings.system_prompt, settings.first_message),
        room=ctx.room,
        # When a session closes, after repeated errors for example, its caller would be left in a
        # silent room, and this job would wait for the room to close.
        room_options=room_io.RoomOptions(delete_room_on_close=True),
    )


async def read_settings(ctx: JobContext, speko: Speko) -> SessionSettings:
    """Return the settings of a job, completed by its hosted agent."""
    settings = SessionSettings.from_metadata(ctx.job.metadata)
    if settings.agent_id is not None:
        settings = settings.with_agent(await speko.agents.get(settings.agent_id))
    return settings if settings.intent is not None else replace(settings, intent=INTENT)


if __name__ == "__main__":
    if not os.environ.get("SPEKO_API_KEY", "").strip():
        sys.exit(
            "Set SPEKO_API_KEY to your Speko API key. Without one, `make demo` shows the same "
            "agent on this machine alone."
        )
    cli.run_app(server)
