"""The page's server on a free port, and a client of it."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
from aiohttp import web
from livekit import api

from examples.browser.calls import Service, Settings
from examples.browser.server import address, build_app, listen
from tests.examples.browser_settings import SECRET, SETTINGS
from tests.examples.livekit_rooms import LiveKitRooms


@asynccontextmanager
async def serving(
    settings: Settings | None = SETTINGS, origin: str = "", service: Service | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve the page on a free port; yield a client of it."""
    runner = web.AppRunner(build_app(settings, origin, service))
    await runner.setup()
    with listen(0) as listening:
        await web.SockSite(runner, listening).start()
        try:
            async with aiohttp.ClientSession(address(listening)) as client:
                yield client
        finally:
            await runner.cleanup()


def settings_of(rooms: LiveKitRooms, agent_name: str = "") -> Settings:
    """Return the settings that lead to a server of rooms."""
    return replace(SETTINGS, url=rooms.url, agent_name=agent_name)


def own_origin(client: aiohttp.ClientSession) -> dict[str, str]:
    """Return the header by which a page of the server is known."""
    return {"Origin": str(client._base_url).rstrip("/")}


async def ask(client: aiohttp.ClientSession, path: str, **wishes: object) -> tuple[int, Any]:
    """Ask for something as the page does; return the status and the JSON."""
    async with client.post(path, json=wishes, headers=own_origin(client)) as answer:
        return answer.status, await answer.json()


def claims(token: str) -> dict[str, Any]:
    """Return the claims of a token; fail unless it is signed with the secret."""
    api.TokenVerifier(SETTINGS.api_key, SECRET).verify(token)
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return found
