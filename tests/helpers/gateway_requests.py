"""Requests in the wire's spelling, and responses read without the package's parsers."""

from __future__ import annotations

import json
from typing import Any

import httpx

from livekit_plugins_speko.testing import LocalGateway, ProviderRoute
from tests.helpers.support import wav

INTENT = {"language": "en-US"}
HELLO = {"role": "user", "content": "Hello."}
TOOL = {"name": "get_weather", "description": "", "parameters": {}}
ROUTE = ProviderRoute("acme", "acme-2", failover_count=1, scores_run_id=None)
ROUTE_DATA = {"provider": "acme", "model": "acme-2", "failoverCount": 1, "scoresRunId": None}


def connect(gateway: LocalGateway, **options: Any) -> httpx.AsyncClient:
    """Make a client with the gateway's key; the caller closes it."""
    headers = {"Authorization": f"Bearer {gateway.api_key}"}
    # There is no TLS to verify, and loading the certificates takes longer than most tests.
    options = {"verify": False, "timeout": 5, **options}
    return httpx.AsyncClient(base_url=gateway.base_url, headers=headers, **options)


def make_wav(*, seconds: float = 0.1, rate_hz: int = 16000, channels: int = 1) -> bytes:
    """A silent WAV, 16 bit."""
    silence = bytes(2 * channels * int(seconds * rate_hz))
    return wav(silence, rate=rate_hz, channels=channels)


def transcription(*, audio: bytes | None = None, **headers: str | bytes | None) -> dict[str, Any]:
    """Arguments for a POST of audio; a header given as None is left out."""
    named: dict[str, str | bytes | None] = {
        "Content-Type": "audio/wav",
        "X-Speko-Intent": json.dumps(INTENT),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return {
        "url": "/v1/transcribe",
        "content": make_wav() if audio is None else audio,
        "headers": {name: value for name, value in named.items() if value is not None},
    }


def completion(**fields: Any) -> dict[str, Any]:
    """Arguments for a POST of a completion."""
    return {"url": "/v1/complete", "json": {"messages": [HELLO], "intent": INTENT, **fields}}


def synthesis(**fields: Any) -> dict[str, Any]:
    """Arguments for a POST of a synthesis."""
    return {"url": "/v1/synthesize", "json": {"text": "Hello.", "intent": INTENT, **fields}}


def read_events(body: str) -> list[tuple[str, Any]]:
    """Return the names and data of the events of a complete stream."""
    events = []
    for block in body.split("\n\n"):
        if block:
            name, data = block.split("\n")
            events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events
