"""`Speko`: its key and address, and which connections it makes, keeps and closes."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from livekit_plugins_speko import Speko, __version__
from livekit_plugins_speko.api.pools import KEEPALIVE_EXPIRY_S
from livekit_plugins_speko.testing import Gate, LocalGateway, Reply, Speech, Transcript
from tests.helpers.client_calls import CALLS, Call, synthesize, transcribe


def make_client(gateway: LocalGateway, http_client: httpx.AsyncClient) -> Speko:
    return Speko(api_key=gateway.api_key, base_url=gateway.base_url, http_client=http_client)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPEKO_API_KEY", "SPEKO_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("environment", [None, "", "  "])
@pytest.mark.parametrize("api_key", [None, "", " \n"])
async def test_missing_key_error_names_the_environment_variable(
    monkeypatch: pytest.MonkeyPatch, environment: str | None, api_key: str | None
) -> None:
    if environment is not None:
        monkeypatch.setenv("SPEKO_API_KEY", environment)
    with pytest.raises(ValueError) as refused:
        Speko(api_key=api_key)
    assert str(refused.value) == (
        "Speko: no API key. Set the environment variable SPEKO_API_KEY, or pass api_key=."
    )


@pytest.mark.parametrize("api_key", ["sk two", "sk\ntwo", "sk-schlüssel", "sk\x00"])
async def test_key_that_no_header_can_hold_is_refused_without_showing_it(api_key: str) -> None:
    with pytest.raises(ValueError, match="Copy it again, or look into SPEKO_API_KEY") as refused:
        Speko(api_key=api_key)
    assert api_key not in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "api_key"),
    [("local-gateway-key", None), ("another", "local-gateway-key"), ("", " local-gateway-key\n")],
)
async def test_key_argument_wins_over_the_environment(
    gateway: LocalGateway, monkeypatch: pytest.MonkeyPatch, environment: str, api_key: str | None
) -> None:
    monkeypatch.setenv("SPEKO_API_KEY", environment)
    gateway.transcribe.script(Transcript("hello"))
    async with Speko(api_key=api_key, base_url=gateway.base_url) as speko:
        assert (await transcribe(speko)).text == "hello"


@pytest.mark.parametrize(
    ("environment", "base_url", "expected"),
    [
        (None, None, "https://api.speko.dev"),
        ("", None, "https://api.speko.dev"),
        ("https://speko.internal:8080/", None, "https://speko.internal:8080"),
        ("https://speko.internal", "https://other.example/speko//", "https://other.example/speko"),
        ("not even a url", "http://localhost:1", "http://localhost:1"),
        (None, " HTTPS://Host.example ", "HTTPS://Host.example"),
    ],
)
async def test_base_url_is_the_argument_then_the_environment_then_the_default(
    monkeypatch: pytest.MonkeyPatch, environment: str | None, base_url: str | None, expected: str
) -> None:
    if environment is not None:
        monkeypatch.setenv("SPEKO_BASE_URL", environment)
    async with Speko(api_key="sk-1", base_url=base_url) as speko:
        assert speko.base_url == expected


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        " ",
        "api.speko.dev",
        "ftp://api.speko.dev",
        "https://",
        "https:///v1",
        "https://:443",
        "http://host:port",
        "http://host:99999",
        "http://[::1",
        "http://host:0",
        "http://ho\nst",
    ],
)
async def test_base_url_without_scheme_or_host_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match="Speko: base_url must be an http.s. address with a host"):
        Speko(api_key="sk-1", base_url=base_url)


@pytest.mark.parametrize("extra", ["//user:word@host", "//host?region=eu", "//host/#top"])
async def test_base_url_with_more_than_an_address_is_refused_without_showing_it(extra: str) -> None:
    with pytest.raises(ValueError) as refused:
        Speko(api_key="sk-1", base_url=f"https:{extra}")
    assert str(refused.value) == (
        "Speko: base_url must be a plain address such as https://api.speko.dev, without a user, "
        "a query or a fragment. The API key is what lets you in."
    )


async def test_invalid_base_url_of_the_environment_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPEKO_BASE_URL", "speko.internal")
    with pytest.raises(ValueError) as refused:
        Speko(api_key="sk-1")
    assert str(refused.value) == (
        "Speko: base_url must be an http(s) address with a host such as https://api.speko.dev, "
        "got 'speko.internal'. It comes from base_url=, or from SPEKO_BASE_URL."
    )


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), None, "3"])
async def test_timeout_must_be_positive(timeout: Any) -> None:
    with pytest.raises(ValueError, match="^Speko: timeout must be a number above 0, got"):
        Speko(api_key="sk-1", timeout=timeout)


async def test_repr_shows_the_base_url_and_never_the_key() -> None:
    async with Speko(api_key="sk-secret", base_url="http://localhost:1/") as speko:
        assert repr(speko) == "Speko(base_url='http://localhost:1')"
        assert "sk-secret" not in f"{speko!r}{speko}{speko.agents!r}{speko.agents.tools!r}"


@CALLS
async def test_response_later_than_the_timeout_is_a_timeout(
    gateway: LocalGateway, call: Call
) -> None:
    gate = Gate()
    gateway.transcribe.always(Transcript("hello", interim=[gate]))
    gateway.complete.always(Reply([gate, "Hi"]))
    gateway.synthesize.always(Speech([gate, b"ab"]))
    async with Speko(api_key=gateway.api_key, base_url=gateway.base_url, timeout=0.05) as speko:
        with pytest.raises(httpx.ReadTimeout):
            await call(speko)


@CALLS
async def test_sequential_calls_share_a_connection(gateway: LocalGateway, call: Call) -> None:
    """A new one costs the handshakes of TCP and TLS on every turn."""
    connections: set[Any] = set()

    async def note(response: httpx.Response) -> None:
        stream = response.extensions["network_stream"]
        connections.add(stream.get_extra_info("client_addr"))

    gateway.transcribe.always(Transcript("hello"))
    gateway.complete.always(Reply("Hi"))
    gateway.synthesize.always(Speech(b"ab"))
    async with httpx.AsyncClient(event_hooks={"response": [note]}) as http_client:
        speko = Speko(api_key=gateway.api_key, base_url=gateway.base_url, http_client=http_client)
        for _ in range(3):
            await call(speko)
    assert len(connections) == 1


async def test_closing_the_client_closes_its_connections(
    gateway: LocalGateway,
) -> None:
    gateway.synthesize.always(Speech(b"ab"))
    async with Speko(api_key=gateway.api_key, base_url=gateway.base_url) as speko:
        await synthesize(speko)
        assert gateway.open_connections == 1
    await gateway.idle(connections=0)
    await speko.aclose()


async def test_passed_http_client_is_used_and_left_open(gateway: LocalGateway) -> None:
    gateway.synthesize.always(Speech(b"ab"))
    async with httpx.AsyncClient(headers={"X-Proxy": "1"}) as http_client:
        async with make_client(gateway, http_client) as speko:
            await synthesize(speko)
        assert not http_client.is_closed
        await synthesize(speko)
    assert [request.headers["X-Proxy"] for request in gateway.requests] == ["1", "1"]


async def test_passed_http_client_changes_neither_user_agent_nor_timeout(
    gateway: LocalGateway,
) -> None:
    gateway.synthesize.always(Speech(b"ab"))
    async with httpx.AsyncClient(headers={"User-Agent": "theirs"}, timeout=1e-9) as http_client:
        await synthesize(make_client(gateway, http_client))
    assert gateway.requests[0].headers["User-Agent"] == f"livekit-plugins-speko/{__version__}"


@pytest.mark.parametrize(
    "theirs", [{"headers": {"Authorization": "Bearer theirs"}}, {"auth": ("user", "word")}]
)
async def test_passed_http_client_does_not_change_the_key(
    gateway: LocalGateway, theirs: dict[str, Any]
) -> None:
    gateway.synthesize.always(Speech(b"ab"))
    async with httpx.AsyncClient(**theirs) as http_client:
        assert (await synthesize(make_client(gateway, http_client))).audio == b"ab"


@pytest.mark.parametrize(
    ("http_client", "found"),
    [(httpx.AsyncClient, "AsyncClient"), (5, "int"), ([], "list"), ({}, "dict")],
)
async def test_http_client_of_another_kind_is_refused(http_client: Any, found: str) -> None:
    with pytest.raises(TypeError, match=f"http_client must be an httpx.AsyncClient, got {found}"):
        Speko(api_key="sk-1", http_client=http_client)


async def test_synchronous_http_client_is_refused() -> None:
    with httpx.Client() as theirs, pytest.raises(TypeError, match="got Client"):
        Speko(api_key="sk-1", http_client=theirs)  # type: ignore[arg-type]


async def test_empty_key_does_not_fall_back_to_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPEKO_API_KEY", "sk-1")
    with pytest.raises(ValueError, match="SPEKO_API_KEY"):
        Speko(api_key="")


@pytest.mark.parametrize("base_url", ["http://\u00fc..x", "http://xn--/"])
async def test_impossible_host_is_refused_at_once(base_url: str) -> None:
    with pytest.raises(ValueError, match="base_url must be an http"):
        Speko(api_key="sk-1", base_url=base_url)


async def test_local_service_is_reached_without_a_proxy(
    gateway: LocalGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    gateway.transcribe.script(Transcript("hello"))
    async with Speko(api_key=gateway.api_key, base_url=gateway.base_url) as speko:
        assert (await transcribe(speko)).text == "hello"


async def test_more_than_a_hundred_calls_run_at_once(gateway: LocalGateway, speko: Speko) -> None:
    gate = Gate()
    gateway.transcribe.always(Transcript("hello", interim=[gate]))
    pending = [asyncio.create_task(transcribe(speko)) for _ in range(120)]
    await gateway.arrived("transcribe", count=120)
    gate.open()
    assert {result.text for result in await asyncio.gather(*pending)} == {"hello"}


async def test_idle_connection_is_kept_between_turns(gateway: LocalGateway, speko: Speko) -> None:
    """httpx alone would drop it after 5 s."""
    pools: Any = speko._transport._pools
    transport = pools.pick()._transport
    assert isinstance(transport, httpx.AsyncHTTPTransport)
    assert transport._pool._keepalive_expiry == KEEPALIVE_EXPIRY_S
