"""A voice agent whose model hears and speaks by itself: copy this file, and change what it says.

    python examples/realtime_agent.py dev       wait for calls from a LiveKit server
    python examples/realtime_agent.py start     the same in production

It needs SPEKO_API_KEY, LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET. Speko chooses the
model by INTENT, unless SPEKO_REALTIME_MODEL names one as `provider:model`.
"""

from __future__ import annotations

import logging
import os
import sys
from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    APIConnectOptions,
    JobContext,
    cli,
    function_tool,
    llm,
    room_io,
)

from livekit_plugins_speko import Intent, Speko, SpekoRealtimeModel, SpekoTTS

logger = logging.getLogger("speko-realtime-agent")

GREETING = "Hello, this is the front desk. How can I help you?"
INSTRUCTIONS = (
    "You are the front desk of a small hotel and talk to callers on the phone. They have been "
    f'greeted with "{GREETING}" already. Answer in one or two short sentences. Ask when you did '
    "not understand."
)
INTENT = Intent("en-US", optimize_for="latency")


class Assistant(Agent):
    """The hotel's front desk."""

    def __init__(self) -> None:
        super().__init__(instructions=INSTRUCTIONS)

    async def on_enter(self) -> None:
        """Greet the caller in the TTS's voice: the model speaks only when spoken to."""
        self.session.say(GREETING)

    @function_tool
    async def get_local_time(self, city: str) -> str:
        """Tell the current local time in a city.

        Args:
            city: The city, in English, such as Tokyo.
        """
        zones = {
            zone.rpartition("/")[2].replace("_", " ").lower(): zone
            for zone in available_timezones()
            if "/" in zone
        }
        zone = zones.get(city.strip().lower())
        if zone is None:
            raise llm.ToolError(f"The time zone of {city} is not known here.")
        return f"{datetime.now(ZoneInfo(zone)):%H:%M} in {city}"


def build_session(speko: Speko, model: str = "") -> AgentSession[None]:
    """Make a session with a voice model, and a TTS beside it for the greeting.

    Args:
        speko: The client. Close it after the call.
        model: The model, as ``provider:model``; empty lets Speko choose by the intent.
    """
    provider, _, name = model.partition(":")
    return AgentSession[None](
        llm=SpekoRealtimeModel(
            speko=speko,
            provider=provider or None,
            model=name or None,
            intent=INTENT,
            # The caller hears nothing meanwhile: after 18 s without a connection the call ends.
            conn_options=APIConnectOptions(max_retry=10),
        ),
        # For say() alone: the model's replies are its own audio.
        tts=SpekoTTS(speko=speko, intent=INTENT, convert_audio=True),
    )


server = AgentServer()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Handle one call."""
    speko = Speko()
    session = build_session(speko, os.environ.get("SPEKO_REALTIME_MODEL", ""))

    async def close() -> None:
        logger.info("usage", extra={"usage": [str(model) for model in session.usage.model_usage]})
        await speko.aclose()

    ctx.add_shutdown_callback(close)
    await session.start(
        agent=Assistant(),
        room=ctx.room,
        # The session closes when the model hangs up or the service fails for good. Its caller
        # would be left in a silent room.
        room_options=room_io.RoomOptions(delete_room_on_close=True),
    )


if __name__ == "__main__":
    if not os.environ.get("SPEKO_API_KEY", "").strip():
        sys.exit(
            "Set SPEKO_API_KEY to your Speko API key. Without one, `python examples/demo.py "
            "--speech-to-speech` shows the same agent on this machine alone."
        )
    cli.run_app(server)
