"""The local gateway with scripted engines, in a process of its own.

    python -m tests.e2e.scripted

It prints the variables that point an agent to it, then each request as a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from typing import Any

from livekit_plugins_speko.testing import Answer, Engine, GatewayRequest, LocalGateway
from tests.e2e.scripted.ears import FixtureRecogniser
from tests.e2e.scripted.model import scripted_model
from tests.e2e.scripted.voice import scripted_voice


def told(engine: Engine) -> Engine:
    """Print each request before an engine answers it."""

    async def answer(request: GatewayRequest, /) -> Answer:
        body: dict[str, Any] = {} if request.route == "transcribe" else request.json
        row: dict[str, Any] = {
            "route": request.route,
            # The same clock in every process of a machine.
            "at_s": time.monotonic(),
            "session": request.session_id,
            "intent": request.intent,
            **{key: body[key] for key in ("messages", "text", "voice", "speed") if key in body},
        }
        print(json.dumps(row), flush=True)
        return await engine(request)

    return answer


async def serve() -> None:
    """Serve until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # A refused request is the agent's error, not this program's.
    async with LocalGateway(strict=False) as gateway:
        gateway.transcribe.use(told(FixtureRecogniser()))
        gateway.complete.use(told(scripted_model))
        gateway.synthesize.use(told(scripted_voice))
        print(f"SPEKO_BASE_URL={gateway.base_url} SPEKO_API_KEY={gateway.api_key}", flush=True)
        await stop.wait()


asyncio.run(serve())
