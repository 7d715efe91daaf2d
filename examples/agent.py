"""A voice agent on Speko: copy this file, and change what it says.

    python examples/agent.py console      talk to it here, through this machine's microphone
    python examples/agent.py dev          wait for calls from a LiveKit server
    python examples/agent.py start        the same in production

It needs SPEKO_API_KEY; `dev` and `start` need LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET.
With SPEKO_STREAMING=1 it recognises callers while they speak, for providers that can.
With LIVEKIT_AGENT_NAME set it takes only the calls that ask for it by that name.
A job's metadata may hold settings for its session, as JSON:

    {"intent": {"language": "es-MX", "optimizeFor": "latency"}, "voice": "sophia",
     "constraints": {"allowedProviders": {"stt": ["deepgram"]}}, "system_prompt": "..."}
"""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

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
    PipelineConstraints,
    Speko,
    SpekoComponents,
    create_speko_components,
    validate_constraints,
    validate_intent,
)

logger = logging.getLogger("speko-agent")

STREAMING = os.environ.get("SPEKO_STREAMING", "") == "1"
GREETING = "Hello, this is the front desk. How can I help you?"
SYSTEM_PROMPT = (
    "You are the front desk of a small hotel and talk to callers on the phone. Answer in one or "
    "two short sentences, without lists or symbols. Ask when you did not understand."
)


@dataclass(frozen=True)
class Settings:
    """The settings of one session."""

    intent: Intent = Intent("en-US", optimize_for="latency")
    voice: str | None = None
    constraints: PipelineConstraints | None = None
    system_prompt: str = SYSTEM_PROMPT

    @classmethod
    def from_metadata(cls, metadata: str) -> Settings:
        """Read a job's metadata; empty metadata means the defaults.

        Raises:
            ValueError: The metadata is invalid. The text says what was found and expected.
        """
        if not metadata.strip():
            return cls()
        try:
            found = json.loads(metadata)
        except ValueError as error:
            raise ValueError(f"job metadata must be JSON: {error}") from error
        if not isinstance(found, dict):
            raise ValueError(f"job metadata must be a JSON object, got a {type(found).__name__}")
        known = {"intent", "voice", "constraints", "system_prompt"}
        if unknown := sorted(found.keys() - known):
            raise ValueError(
                f'job metadata has the unknown key "{unknown[0]}", expected {sorted(known)}'
            )
        found = {key: value for key, value in found.items() if value is not None}
        for key in ("voice", "system_prompt"):
            if not isinstance(found.get(key, ""), str):
                raise ValueError(f'job metadata: "{key}" must be a string, got {found[key]!r}')
        if "intent" in found:
            found["intent"] = validate_intent(found["intent"])
        found["constraints"] = validate_constraints(found.get("constraints"))
        return cls(**found)


class Assistant(Agent):
    """The hotel's front desk."""

    def __init__(self, system_prompt: str = SYSTEM_PROMPT) -> None:
        super().__init__(instructions=system_prompt)

    async def on_enter(self) -> None:
        """Greet the caller without waiting for a model."""
        self.session.say(GREETING)

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
    speko: Speko, voice_detector: vad.VAD, settings: Settings, *, streaming: bool = False
) -> tuple[AgentSession[None], SpekoComponents]:
    """Make a session and its components; close both after the call."""
    components = create_speko_components(
        speko=speko,
        vad=voice_detector,
        intent=settings.intent,
        voice=settings.voice,
        constraints=settings.constraints,
        # The reply begins 0.35 s sooner, at the cost of a wasted request when a caller pauses in a
        # sentence. With `streaming` another 0.15 s, and only the beginning of a reply is wasted.
        stt_options={"eager": True, "streaming": streaming},
        tts_options={
            # A failover may change the audio's rate in the middle of a call.
            "convert_audio": True,
            "spoken_form": True,
            # The reply's first clause is spoken while the model writes the rest; the voice does not
            # know the rest of the sentence yet.
            "first_words": "clause",
        },
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
    try:
        settings = Settings.from_metadata(ctx.job.metadata)
    except ValueError as error:
        logger.error("the call can't be taken: %s", error)
        ctx.shutdown(reason="bad settings")
        return
    speko = Speko()
    session, components = build_session(
        speko, ctx.proc.userdata["vad"], settings, streaming=STREAMING
    )

    async def close() -> None:
        logger.info("usage", extra={"usage": [str(model) for model in session.usage.model_usage]})
        await components.aclose()
        await speko.aclose()

    ctx.add_shutdown_callback(close)
    log_turns(session)
    await session.start(
        agent=Assistant(settings.system_prompt),
        room=ctx.room,
        # When a session closes, after repeated errors for example, its caller would be left in a
        # silent room, and this job would wait for the room to close.
        room_options=room_io.RoomOptions(delete_room_on_close=True),
    )


if __name__ == "__main__":
    if not os.environ.get("SPEKO_API_KEY", "").strip():
        sys.exit(
            "Set SPEKO_API_KEY to your Speko API key. Without one, `make demo` shows the same "
            "agent on this machine alone."
        )
    cli.run_app(server)
