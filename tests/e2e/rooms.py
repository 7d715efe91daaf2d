"""What the server and the worker know of a room."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import psutil  # type: ignore[import-untyped]
from livekit import api
from livekit.protocol.models import ParticipantInfo

from examples.stack import LiveKit, Process

# What a worker says in its log of a job that did not go well.
TROUBLE = re.compile(r"\b(ERROR|CRITICAL)\b|Traceback")
AGENT, ACTIVE = ParticipantInfo.Kind.AGENT, ParticipantInfo.State.ACTIVE
# What LiveKit's SDKs say at times when a room is closed under them, which is how calls end.
USUAL = re.compile(
    r"publisher data channel '\w+' closed unexpectedly"
    r"|DataChannel error on \w+: User-Initiated Abort"
    r"|failed to negotiate the publisher: .* wrong state: closed"
)


def fresh_room() -> str:
    """A room's name that no other test has."""
    return f"room-{uuid.uuid4().hex[:8]}"


def server_api(livekit: LiveKit) -> api.LiveKitAPI:
    """A client of the server's own interface; who enters it closes it."""
    return api.LiveKitAPI(livekit.url, livekit.api_key, livekit.api_secret)


async def open_rooms(livekit: LiveKit) -> set[str]:
    """The names of the rooms that the server has."""
    async with server_api(livekit) as client:
        listed = await client.room.list_rooms(api.ListRoomsRequest())
    return {room.name for room in listed.rooms}


async def is_closed(livekit: LiveKit, room: str, within_s: float = 5.0) -> bool:
    """Wait until the server has deleted a room, of which it tells the participants first."""
    deadline_s = time.monotonic() + within_s
    while room in await open_rooms(livekit):
        if time.monotonic() > deadline_s:
            return False
        await asyncio.sleep(0.05)
    return True


async def job_process(worker: Process, room: str) -> psutil.Process:
    """The process in which a worker serves a room."""
    found = await asyncio.to_thread(worker.wait_for, rf'"pid": (\d+).*"room": "{room}"', 20.0)
    return psutil.Process(int(found[1]))


def children(worker: Process) -> set[int]:
    """The ids of all processes below a worker's."""
    return {child.pid for child in psutil.Process(worker.pid).children(recursive=True)}


def processes(pids: set[int]) -> list[psutil.Process]:
    """Processes that run, by their ids."""
    return [psutil.Process(pid) for pid in pids]


async def ended(process: psutil.Process, within_s: float = 20.0) -> bool:
    """Wait for the end of a process that is not our own child."""
    try:
        await asyncio.to_thread(process.wait, within_s)
    except psutil.TimeoutExpired:
        return False
    return True


def trouble(lines: Sequence[str]) -> list[str]:
    """Those lines of a worker's log that tell of an error."""
    return [line for line in lines if TROUBLE.search(line) and not USUAL.search(line)]


async def mint_room(livekit: LiveKit, agent_name: str, metadata: Mapping[str, Any]) -> str:
    """Make a room and send an agent into it, as a server does before its page has a token."""
    room = fresh_room()
    async with server_api(livekit) as client:
        await client.room.create_room(api.CreateRoomRequest(name=room, empty_timeout=60))
        request = api.CreateAgentDispatchRequest(
            agent_name=agent_name, room=room, metadata=json.dumps(metadata)
        )
        await client.agent_dispatch.create_dispatch(request)
    return room


async def agent_joins(livekit: LiveKit, room: str, within_s: float = 30.0) -> None:
    """Wait until an agent is in a room, and data packets reach it."""
    deadline = time.monotonic() + within_s
    async with server_api(livekit) as client:
        while True:
            listed = await client.room.list_participants(api.ListParticipantsRequest(room=room))
            if any(each.kind == AGENT and each.state == ACTIVE for each in listed.participants):
                return
            assert time.monotonic() < deadline, f"no agent came to {room}"
            await asyncio.sleep(0.05)
