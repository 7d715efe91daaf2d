"""What LiveKit's server says to the page's, and the calls that end by it."""

from __future__ import annotations

import base64
import hashlib
import json

import aiohttp
import pytest
from livekit import api

from examples.browser.endpoints import WEBHOOK_PATH
from examples.browser.rooms import AGENT_LOST
from tests.examples.browser_serving import serving, settings_of
from tests.examples.browser_settings import SECRET, SETTINGS
from tests.examples.livekit_rooms import AGENT, CALLER, livekit_rooms


def event(name: str, room: str, participant: api.ParticipantInfo) -> str:
    """Write an event as LiveKit's server does."""
    who = {"identity": participant.identity}
    if participant.kind == api.ParticipantInfo.Kind.AGENT:
        who["kind"] = "AGENT"
    return json.dumps({"event": name, "room": {"name": room}, "participant": who, "added": "later"})


async def post_event(client: aiohttp.ClientSession, body: str, *, secret: str = SECRET) -> int:
    """Post an event, signed as LiveKit's server signs it; return the status."""
    digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
    token = api.AccessToken(SETTINGS.api_key, secret).with_sha256(digest).to_jwt()
    headers = {"Authorization": token, "Content-Type": "application/webhook+json"}
    async with client.post(WEBHOOK_PATH, data=body.encode(), headers=headers) as answer:
        return answer.status


async def test_call_whose_agent_has_left_is_ended_with_the_reason() -> None:
    async with livekit_rooms() as rooms, serving(settings_of(rooms)) as client:
        rooms.looks = [[CALLER]]
        assert await post_event(client, event("participant_left", "speko-call-1", AGENT)) == 200
        names = ["ListParticipants", "UpdateRoomMetadata", "DeleteRoom"]
        assert [name for name, _ in rooms.requests] == names
        (update,), (deletion,) = rooms.named("UpdateRoomMetadata"), rooms.named("DeleteRoom")
        assert (update.room, update.metadata) == ("speko-call-1", AGENT_LOST)
        assert deletion.room == "speko-call-1"


async def test_call_that_another_agent_took_over_goes_on() -> None:
    async with livekit_rooms() as rooms, serving(settings_of(rooms)) as client:
        rooms.looks = [[CALLER, AGENT]]
        assert await post_event(client, event("participant_left", "speko-call-1", AGENT)) == 200
        assert [name for name, _ in rooms.requests] == ["ListParticipants"]


@pytest.mark.parametrize(
    "body",
    [
        event("participant_left", "speko-call-1", CALLER),
        event("participant_joined", "speko-call-1", AGENT),
        event("participant_left", "a-room-of-another-app", AGENT),
        json.dumps({"event": "room_finished"}),
    ],
)
async def test_other_events_end_nothing(body: str) -> None:
    async with livekit_rooms() as rooms, serving(settings_of(rooms)) as client:
        assert await post_event(client, body) == 200
        assert rooms.requests == []


async def test_call_that_is_over_already_stays_so() -> None:
    async with livekit_rooms() as rooms, serving(settings_of(rooms)) as client:
        rooms.error = "not_found"
        assert await post_event(client, event("participant_left", "speko-call-1", AGENT)) == 200


async def test_event_is_taken_again_when_livekit_cannot_be_reached() -> None:
    async with livekit_rooms() as rooms:
        settings = settings_of(rooms)
    async with serving(settings) as client:
        assert await post_event(client, event("participant_left", "speko-call-1", AGENT)) == 502


async def test_event_that_livekit_did_not_sign_is_refused() -> None:
    async with livekit_rooms() as rooms, serving(settings_of(rooms)) as client:
        body = event("participant_left", "speko-call-1", AGENT)
        assert await post_event(client, body, secret="another secret, as long as the first") == 401
        assert (await client.post(WEBHOOK_PATH, data=body)).status == 401
        token = api.AccessToken(SETTINGS.api_key, SECRET).with_sha256("YQ==").to_jwt()
        answer = await client.post(WEBHOOK_PATH, data=body, headers={"Authorization": token})
        assert answer.status == 401
        assert rooms.requests == []
