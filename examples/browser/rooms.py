"""Calls to an agent: a room for each, made here or by Speko."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Protocol

from livekit import api

from examples.browser.calls import Service, Settings
from livekit_plugins_speko import Speko

# The rooms of this server, among those of others on the same LiveKit server.
ROOM_PREFIX = "speko-call-"
# The agent's intent, where a page asks for no other language.
INTENT: Mapping[str, str] = {"language": "en-US", "optimizeFor": "latency"}
# Long enough for inaccurate clocks; it does not limit a caller who has joined.
TOKEN_TTL = timedelta(minutes=5)
# The life of a room whose caller never comes, in seconds.
EMPTY_TIMEOUT_S = 60
# A page sends its wishes as it joins, and LiveKit keeps them for nobody: so the agent comes first.
# One that starts slowly is not waited for.
AGENT_WITHIN_S = 1.0
LOOK_EVERY_S = 0.1
# The room's last metadata when its agent was lost, so that the page can tell that from a hang-up.
AGENT_LOST = json.dumps({"ended": "agent_lost"})
# From that metadata to the room's end, so that they arrive in this order.
TELL_S = 0.3


class Calls(Protocol):
    """Makes calls."""

    async def new(self, wishes: Mapping[str, Any]) -> dict[str, str]:
        """Make a room with an agent in it; return what the page needs to join."""


class OwnCalls:
    """Calls on a LiveKit server of one's own, with agents of one's own."""

    def __init__(self, settings: Settings, client: api.LiveKitAPI, agent_id: str = "") -> None:
        """Make calls on a server.

        Args:
            settings: The server, and the agent to request.
            client: A client of the server's, which the caller closes.
            agent_id: The hosted agent whose profile the agent takes; empty for none.
        """
        self._settings = settings
        self._client = client
        self._agent_id = agent_id

    async def new(self, wishes: Mapping[str, Any]) -> dict[str, str]:
        """Make a room, send the agent there, and let the caller in.

        Raises:
            livekit.api.ServerError: LiveKit's server refused.
            aiohttp.ClientError: It can't be reached.
            TimeoutError: It did not respond in time.
        """
        room = f"{ROOM_PREFIX}{secrets.token_hex(8)}"
        name = self._settings.agent_name
        agent = api.RoomAgentDispatch(agent_name=name, metadata=self._metadata(wishes))
        await self._client.room.create_room(
            api.CreateRoomRequest(name=room, empty_timeout=EMPTY_TIMEOUT_S, agents=[agent])
        )
        await self._until_agent_is_in(room)
        return {
            "transportToken": caller_token(self._settings, room),
            "transportUrl": self._settings.url,
            "transport": "livekit",
            # So that the page can name the worker's command if none comes.
            "agentName": name,
        }

    async def end_lost(self, room: str) -> None:
        """End a call whose agent is gone, unless another one took over.

        Raises:
            aiohttp.ClientError: LiveKit's server can't be reached.
            TimeoutError: It did not respond in time.
        """
        # It may be over already.
        with suppress(api.ServerError):
            if await self._has_agent(room):
                return
            await self._client.room.update_room_metadata(
                api.UpdateRoomMetadataRequest(room=room, metadata=AGENT_LOST)
            )
            await asyncio.sleep(TELL_S)
            await self._client.room.delete_room(api.DeleteRoomRequest(room=room))

    def _metadata(self, wishes: Mapping[str, Any]) -> str:
        """Return a job's settings, as Speko writes them."""
        language = wishes.get("intent.language", INTENT["language"])
        settings = {"intent": {**INTENT, "language": language}, "voice": wishes.get("voice")}
        settings["agentId"] = self._agent_id or None
        return json.dumps({key: value for key, value in settings.items() if value is not None})

    async def _until_agent_is_in(self, room: str) -> None:
        deadline = time.monotonic() + AGENT_WITHIN_S
        while time.monotonic() < deadline:
            if await self._has_agent(room):
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def _has_agent(self, room: str) -> bool:
        request = api.ListParticipantsRequest(room=room)
        listed = await self._client.room.list_participants(request)
        return any(is_agent(each) for each in listed.participants)


class HostedCalls:
    """Calls that Speko makes, with its hosted agent."""

    def __init__(self, speko: Speko, service: Service) -> None:
        """Make calls with a client, which the caller closes."""
        self._speko = speko
        self._service = service

    async def new(self, wishes: Mapping[str, Any]) -> dict[str, str]:
        """Make a session.

        Raises:
            SpekoApiError: The service refused.
            httpx.HTTPError: It can't be reached.
        """
        language = wishes.get("intent.language")
        agent_id = self._service.agent_id or None
        intent = None if agent_id and not language else {**INTENT, "language": language or "en-US"}
        session = await self._speko.sessions.create(
            agent_id=agent_id, intent=intent, voice=wishes.get("voice")
        )
        return session.for_browser()


def caller_token(settings: Settings, room: str) -> str:
    """Mint the token of a caller for one room."""
    grants = api.VideoGrants(
        room_join=True,
        room=room,
        can_publish=True,
        can_publish_sources=["microphone"],
        # For what the caller types.
        can_publish_data=True,
        can_subscribe=True,
    )
    token = api.AccessToken(settings.api_key, settings.api_secret)
    return token.with_identity("caller").with_grants(grants).with_ttl(TOKEN_TTL).to_jwt()


def is_agent(participant: api.ParticipantInfo) -> bool:
    """Return True for an agent."""
    return participant.kind == api.ParticipantInfo.Kind.AGENT
