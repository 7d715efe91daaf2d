"""The page's server, without a browser and without a LiveKit server."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from livekit import api

from examples.browser.calls import Settings
from examples.browser.server import FILES, FOLDER, LIVEKIT_CLIENT, address, build_app, listen
from tests.examples.browser_settings import SECRET, SETTINGS

PROXY = "https://calls.example.com"


@asynccontextmanager
async def serving(
    settings: Settings = SETTINGS, origin: str = ""
) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve the page on a free port; yield a client of it."""
    runner = web.AppRunner(build_app(settings, origin))
    await runner.setup()
    with listen(0) as listening:
        await web.SockSite(runner, listening).start()
        try:
            async with aiohttp.ClientSession(address(listening)) as client:
                yield client
        finally:
            await runner.cleanup()


def own_origin(client: aiohttp.ClientSession) -> dict[str, str]:
    return {"Origin": str(client._base_url).rstrip("/")}


async def call(settings: Settings = SETTINGS) -> dict[str, str]:
    """Request one call, as the page does."""
    async with serving(settings) as client:
        answer = await client.post("/api/call", headers=own_origin(client))
        assert answer.status == 200
        found: dict[str, str] = await answer.json()
        return found


def claims(token: str) -> dict[str, Any]:
    """Return the claims of a token; fail unless it is signed with the secret."""
    api.TokenVerifier(SETTINGS.api_key, SECRET).verify(token)
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return found


# Calls


async def test_each_call_has_its_own_room() -> None:
    first, second = await call(), await call()
    assert first["url"] == SETTINGS.url
    assert first["room"] != second["room"]
    assert claims(first["token"])["video"]["room"] == first["room"]


async def test_token_allows_to_talk_and_listen_only() -> None:
    video = claims((await call())["token"])["video"]
    assert video.pop("room").startswith("call-")
    assert video == {
        "roomJoin": True,
        "canPublish": True,
        "canPublishSources": ["microphone"],
        "canPublishData": False,
        "canSubscribe": True,
    }


async def test_token_expires_after_five_minutes() -> None:
    expires_in_s = claims((await call())["token"])["exp"] - time.time()
    assert 290 < expires_in_s <= 300


async def test_token_requests_the_named_agent() -> None:
    answer = await call(replace(SETTINGS, agent_name="front-desk"))
    assert answer["agent"] == "front-desk"
    assert claims(answer["token"])["roomConfig"] == {"agents": [{"agentName": "front-desk"}]}


async def test_token_requests_no_agent_without_a_name() -> None:
    answer = await call()
    assert answer["agent"] == ""
    assert "roomConfig" not in claims(answer["token"])


async def test_secret_is_in_no_response_and_no_repr() -> None:
    assert SECRET not in json.dumps(await call())
    assert SECRET not in repr(SETTINGS)


# Refused requests


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "https://evil.example"},
        {"Origin": PROXY},
    ],
)
async def test_foreign_page_gets_no_call(headers: dict[str, str]) -> None:
    async with serving() as client:
        answer = await client.post("/api/call", headers=headers)
        assert answer.status == 403
        assert (await answer.json()).keys() == {"error"}


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "[", "[::2]:8080"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_foreign_host_name_is_refused(host: str, method: str) -> None:
    async with serving() as client:
        headers = {"Host": host, "Origin": f"http://{host}"}
        path = "/" if method == "GET" else "/api/call"
        assert (await client.request(method, path, headers=headers)).status == 421


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
async def test_all_loopback_names_are_served(host: str) -> None:
    async with serving() as client:
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert (await client.post("/api/call", headers=headers)).status == 200


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        (PROXY, "calls.example.com", 200),
        # A proxy may hide its own name from the server.
        (PROXY, "127.0.0.1:8080", 200),
        ("http://calls.example.com", "calls.example.com", 403),
        ("https://evil.example", "calls.example.com", 403),
        (PROXY, "evil.example", 421),
    ],
)
async def test_proxy_is_accepted_at_its_public_address(origin: str, host: str, status: int) -> None:
    async with serving(origin=PROXY) as client:
        headers = {"Host": host, "Origin": origin}
        assert (await client.post("/api/call", headers=headers)).status == status


@pytest.mark.parametrize("path", ["/server.py", "/package.json", "/../agent.py", "/node_modules/"])
async def test_only_the_files_of_the_page_are_served(path: str) -> None:
    async with serving() as client:
        assert (await client.get(path)).status == 404


async def test_call_needs_a_post() -> None:
    async with serving() as client:
        assert (await client.get("/api/call")).status == 405


# The page


async def test_files_of_the_page_have_their_types() -> None:
    async with serving() as client:
        for path, (file, content_type) in FILES.items():
            if file == LIVEKIT_CLIENT and not file.is_file():
                continue
            answer = await client.get(path)
            assert (answer.status, answer.headers["Content-Type"]) == (200, content_type), path
            assert await answer.read() == file.read_bytes()


async def test_every_response_has_the_security_headers() -> None:
    async with serving() as client:
        for path in ("/", "/app.js", "/api/call", "/nothing"):
            headers = (await client.get(path)).headers
            policy = headers["Content-Security-Policy"]
            assert policy.startswith(
                "default-src 'self'; connect-src 'self' ws://127.0.0.1:7880 http://127.0.0.1:7880; "
            )
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Permissions-Policy"].startswith("microphone=(self)")


async def test_token_is_not_cached() -> None:
    async with serving() as client:
        answer = await client.post("/api/call", headers=own_origin(client))
        assert answer.headers["Cache-Control"] == "no-store"


def test_page_has_no_inline_code_and_only_own_files() -> None:
    html = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html)
    for reference in re.findall(r'(?:src|href)="([^"]*)"', html):
        assert reference in FILES, reference


def test_imported_modules_are_served() -> None:
    for script in FOLDER.glob("*.js"):
        assert f"/{script.name}" in FILES
        code = script.read_text(encoding="utf-8")
        for module in re.findall(r"^(?:import|\}) .*from '([^']*)';$", code, re.MULTILINE):
            assert module in FILES, (script.name, module)
        assert "innerHTML" not in code


def test_lock_pins_the_client_without_a_registry() -> None:
    wanted = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))
    text = (FOLDER / "package-lock.json").read_text(encoding="utf-8")
    locked = json.loads(text)["packages"]
    version = wanted["dependencies"]["livekit-client"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert locked["node_modules/livekit-client"]["version"] == version
    assert '"resolved"' not in text
    assert all("integrity" in package for name, package in locked.items() if name)
