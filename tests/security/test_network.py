"""The API key travels over https, or to this machine, and never to where a redirect points."""

from __future__ import annotations

import httpx
import pytest

from livekit_plugins_speko import Speko, SpekoApiError
from tests.helpers.client_calls import complete
from tests.helpers.raw_server import RawServer, answer

KEY = "sk-secret"

LOOPBACK = [
    *("http://127.0.0.1:1", "http://127.8.9.1", "http://[::1]:1", "http://[0:0::1]"),
    *("http://localhost", "http://LocalHost:1/speko", " http://localhost/ "),
]
ELSEWHERE = [
    *("http://api.speko.dev", "HTTP://API.SPEKO.DEV", "http://speko", "http://example.com:443"),
    *("http://10.0.0.1", "http://192.168.1.5:8080", "http://169.254.169.254", "http://[fe80::1]"),
    # Spellings that some parsers take for this machine and others do not.
    *("http://0.0.0.0:1", "http://[::]:1", "http://127.1", "http://2130706433", "http://0"),
    *("http://0x7f.0.0.1", "http://0x7f000001", "http://[::ffff:10.0.0.1]"),
    # Names that begin or end like this machine's.
    *("http://localhost.example.com", "http://mylocalhost", "http://127.0.0.1.example.com"),
    *("http://localhost.localdomain", "http://localhost.:1", "http://example.localhost.dev"),
]
MASKED = [
    *("http://localhost@example.com", "http://127.0.0.1:80@example.com"),
    *("http://example.com#@localhost", "http://example.com?@localhost"),
    *("http://example.com\\@localhost", "http://localhost\\.example.com", "http://loc alhost"),
    *("http://localhost\u2024example.com", "http://localhost%2eexample.com"),
]


@pytest.mark.parametrize("base_url", LOOPBACK)
async def test_http_to_this_machine_is_allowed(base_url: str) -> None:
    async with Speko(api_key=KEY, base_url=base_url):
        pass


@pytest.mark.parametrize("base_url", ELSEWHERE)
def test_http_to_another_machine_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match="allow_http=True") as refused:
        Speko(api_key=KEY, base_url=base_url)
    assert KEY not in str(refused.value)


async def test_http_to_another_machine_can_be_allowed() -> None:
    async with Speko(api_key=KEY, base_url=ELSEWHERE[0], allow_http=True) as speko:
        assert speko.base_url == ELSEWHERE[0]


@pytest.mark.parametrize("base_url", MASKED)
def test_an_address_that_only_looks_like_this_machine_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match="base_url must be"):
        Speko(api_key=KEY, base_url=base_url)


def test_http_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEKO_BASE_URL", "http://api.speko.dev")
    with pytest.raises(ValueError, match="allow_http=True"):
        Speko(api_key=KEY)


@pytest.mark.parametrize("base_url", ["ftp://localhost", "ws://localhost", "file:///etc/passwd"])
def test_allowing_http_allows_nothing_else(base_url: str) -> None:
    with pytest.raises(ValueError, match="http\\(s\\) address"):
        Speko(api_key=KEY, base_url=base_url, allow_http=True)


@pytest.mark.parametrize("status", [304, 305, 306, 399])
async def test_a_status_between_success_and_error_is_an_error(status: int) -> None:
    moved = answer(status=status, headers={"Location": "http://127.0.0.1:1/"})
    async with (
        RawServer(moved) as server,
        httpx.AsyncClient(follow_redirects=True) as theirs,
        Speko(api_key=KEY, base_url=server.base_url, http_client=theirs) as speko,
    ):
        with pytest.raises(SpekoApiError) as raised:
            await complete(speko)
        assert (raised.value.status, len(server.heads)) == (status, 1)


async def test_the_users_client_does_not_send_its_own_authorization() -> None:
    theirs = httpx.AsyncClient(auth=("ada", "password"), headers={"Authorization": "Basic x"})
    async with (
        theirs,
        RawServer(answer(status=500)) as server,
        Speko(api_key=KEY, base_url=server.base_url, http_client=theirs) as speko,
    ):
        with pytest.raises(SpekoApiError):
            await complete(speko)
    sent = [line for line in server.heads[0].split("\r\n") if "authorization" in line.lower()]
    assert sent == [f"Authorization: Bearer {KEY}"]
    assert "authorization" in theirs.headers and KEY not in theirs.headers["authorization"]


async def test_a_proxy_on_the_way_to_https_does_not_see_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with RawServer(answer(status=403)) as proxy:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy.base_url)
        async with Speko(api_key=KEY, base_url="https://speko.example") as speko:
            with pytest.raises(httpx.ProxyError):
                await complete(speko)
    (head,) = proxy.heads
    assert head.startswith("CONNECT speko.example:443 ") and KEY not in head


async def test_a_proxy_of_the_environment_is_not_used_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy would see the key in plain http."""
    async with RawServer(answer(status=500)) as proxy, RawServer(answer(status=418)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.base_url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        async with Speko(api_key=KEY, base_url=server.base_url) as speko:
            with pytest.raises(SpekoApiError) as raised:
                await complete(speko)
    assert (raised.value.status, proxy.heads) == (418, [])
