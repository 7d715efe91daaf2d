"""The servers behind the page: LiveKit's, Speko's, and what a page may connect to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from examples.stack import LiveKit

VARIABLES = ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
# The schemes of a LiveKit server's address, and those of a page's connection to it.
SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
HOST_AND_PORT = re.compile(r"([\w.-]+|\[[\da-f:.]+\])(:\d+)?", re.ASCII | re.IGNORECASE)
# Speko's proxy of a voice model says where it is with each session alone.
ANY_SECURE_SOCKET = "wss:"


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


@dataclass(frozen=True)
class Service:
    """The Speko service that makes sessions: its address, its key, and the agent to ask for."""

    api_key: str = field(repr=False)
    # None takes the public service.
    base_url: str | None = None
    # A hosted agent; empty without one.
    agent_id: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Service | None:
        """Read the variables; None without a key."""
        key, url, agent = (
            environment.get(f"SPEKO_{name}", "").strip()
            for name in ("API_KEY", "BASE_URL", "AGENT_ID")
        )
        return cls(key, url or None, agent) if key else None

    @property
    def sources(self) -> str:
        """The addresses of its voice models, as a Content-Security-Policy has them."""
        parts = urlsplit(self.base_url or "")
        return f"ws://{parts.netloc}" if parts.scheme == "http" else ANY_SECURE_SOCKET


def read_servers(environment: Mapping[str, str]) -> tuple[Settings | None, Service | None]:
    """Read who makes the calls: a LiveKit server of one's own, else Speko, which needs a key.

    Raises:
        CannotStart: Neither is named in full.
    """
    service = Service.from_environment(environment)
    named = any(environment.get(name, "").strip() for name in VARIABLES)
    return (Settings.from_environment(environment) if named or not service else None), service


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
