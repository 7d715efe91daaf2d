"""A server that takes LiveKit's requests about rooms, and notes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from livekit import api

REQUESTS: dict[str, Any] = {
    "CreateRoom": api.CreateRoomRequest,
    "ListParticipants": api.ListParticipantsRequest,
    "UpdateRoomMetadata": api.UpdateRoomMetadataRequest,
    "DeleteRoom": api.DeleteRoomRequest,
}
AGENT = api.ParticipantInfo(identity="agent", kind=api.ParticipantInfo.Kind.AGENT)
CALLER = api.ParticipantInfo(identity="caller")


@dataclass
class LiveKitRooms:
    """The requests that came, and what the server responds."""

    url: str = ""
    # Names of requests, and what they asked for, in order.
    requests: list[tuple[str, Any]] = field(default_factory=list)
    # The participants of a room at each look, the last of them from then on.
    looks: list[list[api.ParticipantInfo]] = field(default_factory=lambda: [[AGENT]])
    # The error that it responds to all requests with; empty for none.
    error: str = ""

    def named(self, name: str) -> list[Any]:
        """Return the requests of one name."""
        return [each for found, each in self.requests if found == name]

    async def handle(self, request: web.Request) -> web.Response:
        """Note a request, and respond."""
        name = request.match_info["name"]
        self.requests.append((name, REQUESTS[name].FromString(await request.read())))
        if self.error:
            return web.json_response({"code": self.error, "msg": "no"}, status=401)
        found: Any = api.Room()
        if name == "ListParticipants":
            present = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
            found = api.ListParticipantsResponse(participants=present)
        body = found.SerializeToString()
        return web.Response(body=body, content_type="application/protobuf")


@asynccontextmanager
async def livekit_rooms() -> AsyncIterator[LiveKitRooms]:
    """Serve on a free port."""
    rooms = LiveKitRooms()
    app = web.Application()
    app.router.add_post("/twirp/livekit.RoomService/{name}", rooms.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    rooms.url = f"ws://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield rooms
    finally:
        await runner.cleanup()
