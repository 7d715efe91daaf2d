"""The files that the page's server serves, and the requests that it refuses."""

from __future__ import annotations

import json
import re

import pytest

from examples.browser.calls import Service
from examples.browser.server import FILES, FOLDER, LIVEKIT_CLIENT
from tests.examples.browser_serving import own_origin, serving, settings_of
from tests.examples.browser_settings import SETTINGS
from tests.examples.livekit_rooms import livekit_rooms

CALL = "/api/conversations"
PROXY = "https://calls.example.com"


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
        answer = await client.post(CALL, headers=headers)
        assert answer.status == 403
        assert (await answer.json()).keys() == {"error"}


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "[", "[::2]:8080"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_foreign_host_name_is_refused(host: str, method: str) -> None:
    async with serving() as client:
        headers = {"Host": host, "Origin": f"http://{host}"}
        path = "/" if method == "GET" else CALL
        assert (await client.request(method, path, headers=headers)).status == 421


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
async def test_all_loopback_names_are_served(host: str) -> None:
    async with livekit_rooms() as rooms, serving(settings_of(rooms)) as client:
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert (await client.post(CALL, headers=headers)).status == 200


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
    async with livekit_rooms() as rooms, serving(settings_of(rooms), origin=PROXY) as client:
        headers = {"Host": host, "Origin": origin}
        assert (await client.post(CALL, headers=headers)).status == status


@pytest.mark.parametrize("path", ["/server.py", "/package.json", "/../agent.py", "/node_modules/"])
async def test_only_the_files_of_the_page_are_served(path: str) -> None:
    async with serving() as client:
        assert (await client.get(path)).status == 404


async def test_call_needs_a_post() -> None:
    async with serving() as client:
        assert (await client.get(CALL)).status == 405


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
        for path in ("/", "/app.js", CALL, "/nothing"):
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


@pytest.mark.parametrize(
    ("service", "sources"),
    [
        (Service("a-key", "http://127.0.0.1:8787"), " ws://127.0.0.1:8787"),
        # The service says where its proxy is with each session.
        (Service("a-key", "https://api.example.com"), " wss:"),
        (Service("a-key"), " wss:"),
        (None, " "),
    ],
)
async def test_page_of_the_voice_model_connects_to_it_alone(
    service: Service | None, sources: str
) -> None:
    async with serving(SETTINGS, service=service) as client:
        policy = (await client.get("/voice-model")).headers["Content-Security-Policy"]
        assert policy.startswith(f"default-src 'self'; connect-src 'self'{sources}; ")
        other = (await client.get("/")).headers["Content-Security-Policy"]
        assert "connect-src 'self' ws://127.0.0.1:7880 http://127.0.0.1:7880; " in other


async def test_room_of_speko_may_be_anywhere_that_is_encrypted() -> None:
    async with serving(None, service=Service("a-key")) as client:
        policy = (await client.get("/")).headers["Content-Security-Policy"]
        assert "connect-src 'self' wss: https:; " in policy


async def test_large_request_is_refused() -> None:
    async with serving() as client:
        body = b" " * 100_000
        assert (await client.post(CALL, data=body, headers=own_origin(client))).status == 413


async def test_token_is_not_cached() -> None:
    async with livekit_rooms() as rooms, serving(settings_of(rooms)) as client:
        answer = await client.post(CALL, headers=own_origin(client))
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["index.html", "voice_model.html"])
def test_page_has_no_inline_code_and_only_own_files(name: str) -> None:
    html = (FOLDER / name).read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html)
    for reference in re.findall(r'(?:src|href)="([^"]*)"', html):
        assert reference in FILES, reference


def test_imported_modules_are_served() -> None:
    for script in FOLDER.glob("*.js"):
        assert f"/{script.name}" in FILES
        code = script.read_text(encoding="utf-8")
        for module in re.findall(r"(?:from |addModule\()'([^']*)'", code):
            assert module in FILES, (script.name, module)
        for markup in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"):
            assert markup not in code


def test_lock_pins_the_client_without_a_registry() -> None:
    wanted = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))
    text = (FOLDER / "package-lock.json").read_text(encoding="utf-8")
    locked = json.loads(text)["packages"]
    version = wanted["dependencies"]["livekit-client"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert locked["node_modules/livekit-client"]["version"] == version
    assert '"resolved"' not in text
    assert all("integrity" in package for name, package in locked.items() if name)
