"""The requests that the page's server takes: from its pages, and from LiveKit's server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import httpx
from aiohttp import web
from livekit import api

from examples.browser.calls import Service, Settings
from examples.browser.rooms import INTENT, ROOM_PREFIX, Calls, HostedCalls, OwnCalls, is_agent
from examples.browser.wishes import CONVERSATION, REALTIME, Allowed, Refused, read_wishes
from livekit_plugins_speko import Speko, SpekoApiError

WEBHOOK_PATH = "/api/livekit-webhook"
SETTINGS = web.AppKey("settings", Settings)
SERVICE = web.AppKey("service", Service)
SPEKO = web.AppKey("speko", Speko)
CALLS = web.AppKey("calls", Calls)

# The voice model's instructions and tools, which no page may change.
SYSTEM_PROMPT = (
    "You are the front desk of a small hotel and talk to callers on the phone. Answer in one or "
    "two short sentences. Ask when you did not understand."
)
# The page carries it out.
TOOLS: tuple[Mapping[str, Any], ...] = (
    {
        "name": "get_local_time",
        "description": "Tell the current local time in a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city, in English, such as Tokyo."}
            },
            "required": ["city"],
        },
    },
)


async def open_clients(app: web.Application) -> AsyncIterator[None]:
    """Make the clients of the servers while the application runs."""
    async with AsyncExitStack() as stack:
        if SERVICE in app:
            service = app[SERVICE]
            speko = Speko(api_key=service.api_key, base_url=service.base_url)
            app[SPEKO] = await stack.enter_async_context(speko)
        if SETTINGS in app:
            found = app[SETTINGS]
            client = api.LiveKitAPI(found.url, found.api_key, found.api_secret)
            await stack.enter_async_context(client)
            app[CALLS] = OwnCalls(found, client, app[SERVICE].agent_id if SERVICE in app else "")
        else:
            app[CALLS] = HostedCalls(app[SPEKO], app[SERVICE])
        yield


async def make_conversation(request: web.Request) -> web.Response:
    """Make a room with an agent; respond with what Speko's client needs to join it."""
    try:
        wishes = await read_body(request, CONVERSATION)
        return web.json_response(await request.app[CALLS].new(wishes))
    except Refused as error:
        return refusal(400, str(error))
    except (aiohttp.ClientError, asyncio.TimeoutError, api.ServerError) as error:
        return livekit_failed(error, request.app[SETTINGS].url)
    except (SpekoApiError, httpx.HTTPError) as error:
        return speko_failed(error)


async def make_realtime_session(request: web.Request) -> web.Response:
    """Make a session with a voice model; respond with its credentials, as Speko spells them."""
    if SPEKO not in request.app:
        return refusal(503, "This server makes no sessions.", "Set SPEKO_API_KEY for it.")
    try:
        wishes = await read_body(request, REALTIME)
        credentials = await request.app[SPEKO].realtime.mint(
            provider=wishes.get("provider"),
            model=wishes.get("model"),
            voice=wishes.get("voice"),
            input_sample_rate=wishes.get("inputSampleRate"),
            output_sample_rate=wishes.get("outputSampleRate"),
            system_prompt=SYSTEM_PROMPT,
            tools=TOOLS,
            intent=INTENT,
        )
    # The page's values are allowed one by one; not every two of them go together.
    except ValueError as error:
        return refusal(400, str(error))
    except (SpekoApiError, httpx.HTTPError) as error:
        return speko_failed(error)
    return web.json_response(credentials.for_browser())


async def take_webhook(request: web.Request) -> web.Response:
    """End a call whose agent has left: LiveKit leaves a caller in a silent room."""
    calls = request.app[CALLS]
    if not isinstance(calls, OwnCalls):
        raise web.HTTPNotFound
    found = request.app[SETTINGS]
    receiver = api.WebhookReceiver(api.TokenVerifier(found.api_key, found.api_secret))
    try:
        signature = request.headers.get("Authorization", "")
        event = receiver.receive(await request.text(), signature)
    # It has no errors of its own, for a signature that is wrong or a body that can't be read.
    except Exception:
        return refusal(401, "Only LiveKit's server may say what happens there.")
    room = event.room.name
    is_ours = room.startswith(ROOM_PREFIX)
    if event.event == "participant_left" and is_agent(event.participant) and is_ours:
        try:
            await calls.end_lost(room)
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            # LiveKit sends the event again.
            return livekit_failed(error, found.url)
    return web.Response()


async def read_body(request: web.Request, allowed: Allowed) -> dict[str, Any]:
    """Read what a page asks for; an empty body asks for nothing.

    Raises:
        Refused: It is no JSON, or asks for more than is allowed.
    """
    try:
        text = await request.text()
        asked = json.loads(text) if text.strip() else {}
    except (ValueError, LookupError, RecursionError, web.RequestPayloadError) as error:
        raise Refused("The request must be a JSON object.") from error
    return read_wishes(asked, allowed)


def livekit_failed(error: Exception, url: str) -> web.Response:
    """Return what to tell of a failure of LiveKit's server."""
    if isinstance(error, api.ServerError):
        told = f"LiveKit’s server at {url} refused the call."
        remedy = "See that LIVEKIT_API_KEY and LIVEKIT_API_SECRET are those of that server"
    else:
        told = f"LiveKit’s server at {url} can’t be reached."
        remedy = "See that it runs, that LIVEKIT_URL is right and no firewall is between"
    return refusal(502, told, f"{remedy}, and call again.")


def speko_failed(error: SpekoApiError | httpx.HTTPError) -> web.Response:
    """Return what to tell of a failure of Speko, without what its own text may hold."""
    if not isinstance(error, SpekoApiError):
        return refusal(502, "Speko can’t be reached.", "See that SPEKO_BASE_URL is right.")
    remedy = {
        401: "See that SPEKO_API_KEY is a key of that service.",
        402: "The account has no credits left.",
    }
    told = f"Speko refused the session ({error.status}, {error.code})."
    return refusal(502, told, remedy.get(error.status, "Try again later."))


def refusal(status: int, text: str, remedy: str = "") -> web.Response:
    """Return an error with a text that the page can show, and what to do about it."""
    told = {"error": text, "remedy": remedy}
    return web.json_response({key: each for key, each in told.items() if each}, status=status)
