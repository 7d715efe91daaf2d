"""Tokens and addresses for a caller to join a room of its own with the agent."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from livekit import api

from examples.stack import LiveKit

VARIABLES = ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
# The schemes of a LiveKit server's address, and those of a page's connection to it.
SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
HOST_AND_PORT = re.compile(r"([\w.-]+|\[[\da-f:.]+\])(:\d+)?", re.ASCII | re.IGNORECASE)
# Long enough for inaccurate clocks; it does not limit a caller who has joined.
TOKEN_TTL = timedelta(minutes=5)


class CannotStart(Exception):
    """A requirement is missing; the text names it and the remedy."""


@dataclass(frozen=True)
class Settings:
    """The LiveKit server of the calls, and the agent that answers them."""

    # The address that the page joins, ws:// or wss://.
    url: str
    api_key: str
    api_secret: str = field(repr=False)
    # The agent to request; empty leaves it to LiveKit's automatic dispatch.
    agent_name: str = ""

    @property
    def server(self) -> LiveKit:
        """The server alone, as the stack's programs take it."""
        return LiveKit(self.url, self.api_key, self.api_secret)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the variables.

        Raises:
            CannotStart: One is missing, or LIVEKIT_URL is not an address.
        """
        found = {name: environment.get(name, "").strip() for name in VARIABLES}
        if missing := [name for name in VARIABLES if not found[name]]:
            raise CannotStart(f"Set {', '.join(missing)}: they name the server of the calls.")
        url = websocket_url(found["LIVEKIT_URL"])
        name = environment.get("LIVEKIT_AGENT_NAME", "")
        return cls(url, found["LIVEKIT_API_KEY"], found["LIVEKIT_API_SECRET"], name)


def websocket_url(url: str) -> str:
    """Return the address of a LiveKit server for a page, with ws:// or wss://.

    Raises:
        CannotStart: It is not an address.
    """
    try:
        parts = urlsplit(url)
        # Reading the port checks it.
        good = parts.port != 0 and HOST_AND_PORT.fullmatch(parts.netloc) is not None
    except ValueError:
        good = False
    if not good or parts.scheme not in SCHEMES:
        raise CannotStart(f'LIVEKIT_URL must be like wss://host, got "{url}".')
    return parts._replace(scheme=SCHEMES[parts.scheme]).geturl()


def new_call(settings: Settings) -> dict[str, str]:
    """Make a new room; return the values that the page needs to join it."""
    room = f"call-{secrets.token_hex(8)}"
    return {
        "url": settings.url,
        "token": caller_token(settings, room),
        "room": room,
        # So that the page can name the worker's command if none comes.
        "agent": settings.agent_name,
    }


def caller_token(settings: Settings, room: str) -> str:
    """Mint the token of a caller for one room; joining with it dispatches the agent."""
    grants = api.VideoGrants(
        room_join=True,
        room=room,
        can_publish=True,
        can_publish_sources=["microphone"],
        can_publish_data=False,
        can_subscribe=True,
    )
    token = api.AccessToken(settings.api_key, settings.api_secret)
    token = token.with_identity("caller").with_grants(grants).with_ttl(TOKEN_TTL)
    if settings.agent_name:
        agents = [api.RoomAgentDispatch(agent_name=settings.agent_name)]
        token = token.with_room_config(api.RoomConfiguration(agents=agents))
    return token.to_jwt()


def connect_sources(url: str) -> str:
    """Return the addresses that a page connects to, as a Content-Security-Policy has them."""
    parts = urlsplit(url)
    schemes = ("ws", "http") if parts.scheme == "ws" else ("wss", "https")
    host, name = parts.netloc, parts.hostname or ""
    if ":" in name:
        # A policy cannot hold an IPv6 address.
        return " ".join(f"{scheme}:" for scheme in schemes)
    if name.endswith((".livekit.cloud", ".livekit.run")):
        # LiveKit Cloud redirects callers to the nearest region.
        host = f"*.{'.'.join(name.split('.')[-2:])}"
    return " ".join(f"{scheme}://{host}" for scheme in schemes)
