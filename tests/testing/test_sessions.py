"""Sessions, turns, agents and voices: what the gateway accepts, responds and keeps."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from livekit_plugins_speko.testing import LocalGateway, MintedSession, Refusal, SessionForm
from tests.helpers.gateway_requests import INTENT

TURN = {"index": 0, "source": "user", "text": "Hi.", "startedAt": "2026-01-01T00:00:00.000Z"}
XAI = {"provider": "xai", "model": "grok-voice"}
GOOGLE = {"provider": "google", "model": "gemini-live"}
TOOL = {"name": "f", "description": "", "parameters": {}}


def session(**fields: Any) -> dict[str, Any]:
    """Arguments for a POST of a session, a room unless the fields say otherwise."""
    key = fields.pop("key", None)
    body = fields if "mode" in fields else {"intent": INTENT, **fields}
    headers = {} if key is None else {"Idempotency-Key": key}
    return {"url": "/v1/sessions", "json": body, "headers": headers}


def s2s(key: str | None = None, **fields: Any) -> dict[str, Any]:
    return session(mode="s2s", s2s={"provider": "openai", "model": "gpt", **fields}, key=key)


async def mint(client: httpx.AsyncClient, request: dict[str, Any]) -> dict[str, Any]:
    response = await client.post(**request)
    assert response.status_code == 201, response.text
    minted: dict[str, Any] = response.json()
    return minted


async def assert_refused(
    client: httpx.AsyncClient, request: dict[str, Any], message: str, status: int = 400
) -> None:
    response = await client.post(**request)
    assert response.status_code == status, response.text
    assert message in response.json()["error"]


async def test_room_has_a_token_of_its_own(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    first, second = [await mint(http_client, session(identity="ann")) for _ in range(2)]
    assert set(first) == {
        *("sessionId", "expiresAt", "transportToken", "transportUrl"),
        *("roomName", "identity", "transport"),
    }
    assert (first["identity"], first["transport"]) == ("ann", "livekit")
    assert first["sessionId"] != second["sessionId"]
    assert first["transportToken"] != second["transportToken"]
    assert gateway.session().id == second["sessionId"]
    assert first["transportToken"] not in repr(gateway.session(first["sessionId"]))


async def test_proxy_form_names_the_gateway_s_own_socket(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    minted = await mint(http_client, s2s(inputSampleRate=16000))
    base = gateway.base_url.replace("http", "ws")
    assert minted["wsUrl"] == f"{base}/v1/sessions/{minted['sessionId']}/realtime"
    assert (minted["inputSampleRate"], minted["outputSampleRate"]) == (16000, 24000)
    assert len(minted["wsToken"]) >= 32


@pytest.mark.parametrize(
    ("chosen", "adapter", "path", "rate"),
    [
        (XAI, "xai.realtime.v1", "/v1/realtime", 24000),
        (GOOGLE, "google.live.v1", "/ws/google.ai.generativelanguage.v1beta.", 16000),
    ],
)
async def test_direct_form_has_the_provider_s_settings(
    gateway: LocalGateway,
    http_client: httpx.AsyncClient,
    chosen: dict[str, str],
    adapter: str,
    path: str,
    rate: int,
) -> None:
    minted = await mint(http_client, s2s(**chosen, systemPrompt="Be brief.", tools=[TOOL]))
    assert (minted["transport"], minted["adapter"]) == ("provider_direct", adapter)
    assert minted["endpoint"].startswith(gateway.base_url.replace("http", "ws") + path)
    assert minted["session"] == {"instructions": "Be brief.", "tools": [TOOL]}
    assert minted["inputSampleRate"] == rate
    assert ("renewalUrl" in minted["reservation"]["billing"]) == (chosen is GOOGLE)


@pytest.mark.parametrize("form", ["hosted", "openai"])
async def test_script_chooses_the_form(
    gateway: LocalGateway, http_client: httpx.AsyncClient, form: SessionForm
) -> None:
    gateway.sessions.script(MintedSession(form, changes={"expiresAt": None, "extra": 1}))
    minted = await mint(http_client, s2s())
    assert minted["transport"] == ("livekit" if form == "hosted" else "provider_direct")
    assert (minted["extra"], "expiresAt" in minted) == (1, False)
    assert gateway.session().form == form


async def test_repeated_key_gets_the_same_session_and_takes_no_step(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.sessions.script(Refusal(500, code="SESSION_CREATE_FAILED"), MintedSession(lost=True))
    await assert_refused(http_client, s2s(key="k1"), "", 500)
    with pytest.raises(httpx.TransportError):
        await http_client.post(**s2s(key="k1"))
    first, second = [await mint(http_client, s2s(key="k1")) for _ in range(2)]
    assert first == second
    assert first["sessionId"] == gateway.session().id
    assert first != await mint(http_client, s2s(key="k2"))
    await assert_refused(http_client, s2s(key="k1", voice="eve"), "found the key of another body")


@pytest.mark.parametrize("status", [401, 402, 404, 429, 503])
async def test_scripted_refusal_makes_no_session(
    gateway: LocalGateway, http_client: httpx.AsyncClient, status: int
) -> None:
    gateway.sessions.script(Refusal(status, "no"))
    await assert_refused(http_client, s2s(), "no", status)
    with pytest.raises(LookupError, match="found no session at all"):
        gateway.session()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (session(mode="cascade"), "found neither agentId nor intent"),
        (session(mode="chat"), "body.mode"),
        (session(firstMessage="a" * 2001), "body.firstMessage: found 2001 characters"),
        (session(variables={"a": 1}), "body.variables.a"),
        (session(llm={"temperature": 3}), "body.llm.temperature"),
        (session(ttsOptions={"speed": 3}), "body.ttsOptions.speed"),
        (session(sttOptions={"keywords": ["a"] * 201}), "body.sttOptions.keywords"),
        (session(ttlSeconds=86_401), "body.ttlSeconds"),
        (session(identity="a" * 129), "body.identity"),
        (session(s2s={}), "body.s2s: unknown field"),
        (session(key=""), "header Idempotency-Key"),
        (session(mode="s2s"), "body.s2s: found nothing"),
        (session(mode="s2s", s2s={}), "found no provider, agentId or intent"),
        (session(mode="s2s", s2s={"model": "m"}), "expected both or none"),
        (session(mode="s2s", s2s=XAI, ttlSeconds=1801), "body.ttlSeconds"),
        (session(mode="s2s", s2s=XAI, webhookTags={"a": "b"}), "without an agentId"),
        (s2s(inputSampleRate=8000), "body.s2s.inputSampleRate: found 8000"),
        (s2s(temperature=-1), "body.s2s.temperature"),
        (s2s(tools=[{"name": "f"}]), "body.s2s.tools[0].description"),
        (s2s(thinkingLevel="low"), "other than Gemini"),
        (s2s(instructions="a"), "body.s2s.instructions: unknown field"),
    ],
)
async def test_malformed_session_is_refused(
    http_client: httpx.AsyncClient, request_: dict[str, Any], message: str
) -> None:
    await assert_refused(http_client, request_, message)


async def test_agent_must_be_registered(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    await assert_refused(http_client, session(agentId="a"), "agentId: found a", 404)
    assert (await http_client.get("/v1/agents/a")).status_code == 404
    gateway.register_agent("a", {"systemPrompt": "Be brief."})
    await mint(http_client, session(agentId="a", firstMessage="", variables={"name": "Ann"}))
    profile = (await http_client.get("/v1/agents/a")).json()
    assert profile == {"id": "a", "name": "a", "systemPrompt": "Be brief."}


async def test_turns_are_kept_by_index_and_read_as_a_transcript(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    kept = gateway.register_session("s 1")
    url = "/v1/sessions/s%201/turns"
    for turns in ([{**TURN, "index": 1}, TURN], [{**TURN, "text": "Hello.", "source": "agent"}]):
        response = await http_client.post(url, json={"turns": turns})
        assert (response.status_code, response.content) == (202, b"")
    assert {index: turn["text"] for index, turn in kept.turns.items()} == {1: "Hi.", 0: "Hello."}
    entries = (await http_client.get("/v1/sessions/s%201/transcript")).json()["entries"]
    assert [(entry["index"], entry["source"]) for entry in entries] == [(0, "agent"), (1, "user")]
    assert entries[0].keys() >= {"id", "text", "startedAt", "endedAt", "provider", "model"}


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([], "body.turns: found 0 items"),
        ([TURN] * 201, "body.turns: found 201 items"),
        ([{**TURN, "index": -1}], "body.turns[0].index"),
        ([{**TURN, "source": "assistant"}], "body.turns[0].source"),
        ([{**TURN, "text": ""}], "body.turns[0].text"),
        ([{**TURN, "text": "a" * 16_385}], "body.turns[0].text: found 16385"),
        ([{**TURN, "startedAt": "now"}], "body.turns[0].startedAt"),
        ([{**TURN, "endedAt": "2026-01-01T00:00:00"}], "body.turns[0].endedAt"),
    ],
)
async def test_malformed_turns_are_refused(
    gateway: LocalGateway, http_client: httpx.AsyncClient, turns: list[Any], message: str
) -> None:
    gateway.register_session("s")
    request = {"url": "/v1/sessions/s/turns", "json": {"turns": turns}}
    await assert_refused(http_client, request, message)


@pytest.mark.parametrize("path", ["sessions/x/turns", "calls/x/end"])
async def test_unknown_session_is_not_found(http_client: httpx.AsyncClient, path: str) -> None:
    request = {"url": f"/v1/{path}", "json": {"turns": [TURN]}}
    await assert_refused(http_client, request, "session: found x", 404)


async def test_call_ends_once(gateway: LocalGateway, http_client: httpx.AsyncClient) -> None:
    gateway.register_session("s")
    ended = [(await http_client.post("/v1/calls/s/end")).json() for _ in range(2)]
    assert [each["status"] for each in ended] == ["ending", "already_ended"]
    assert gateway.session("s").ended


async def test_voices_are_those_of_the_provider_in_the_query(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.register_voices(
        [{"vendor": vendor, "id": "1", "name": "Eve"} for vendor in ("xai", "google")]
    )
    everything = (await http_client.get("/v1/voices")).json()
    assert [provider["key"] for provider in everything["providers"]] == ["xai", "google"]
    some = (await http_client.get("/v1/voices?provider=google")).json()
    assert some["voices"] == [{"vendor": "google", "id": "1", "name": "Eve"}]


async def test_telemetry_needs_the_session_s_own_token(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    minted = await mint(http_client, s2s(**XAI))
    event = {
        "session_id": minted["sessionId"],
        "attempt_id": minted["attemptId"],
        "created_at_ms": 1,
        "type": "usage.reported",
        "event_id": "1",
        "data": {"unit": "duration_seconds", "quantity_millis": 20},
    }
    url, token = minted["telemetry"]["endpoint"], minted["telemetry"]["token"]
    request = {"url": url, "json": {"events": [event]}}
    await assert_refused(http_client, request, "telemetry token", 401)
    headers = {"Authorization": f"Bearer {token}"}
    assert (await http_client.post(**request, headers=headers)).status_code == 202
    # An event of a session that the gateway does not know is accepted and forgotten.
    unknown = {"url": url, "json": {"events": [{**event, "session_id": "other"}]}}
    assert (await http_client.post(**unknown, headers=headers)).status_code == 202
    assert gateway.session().telemetry == [event]
    assert token not in json.dumps([str(r) for r in gateway.requests]) + repr(gateway.requests)


async def test_lease_of_google_is_renewed_with_a_new_credential(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    gateway.sessions.script(MintedSession(lease_s=60))
    minted = await mint(http_client, s2s(**GOOGLE))
    lease = minted["reservation"]["leaseExpiresAt"]
    url = minted["reservation"]["billing"]["renewalUrl"]
    headers = {"Authorization": f"Bearer {minted['telemetry']['token']}"}
    request = {"url": url, "json": {"previous_expires_at": lease}, "headers": headers}
    renewed = (await http_client.post(**request)).json()
    assert renewed["credential"]["value"] not in ("", minted["credential"]["value"])
    assert renewed["lease_expires_at"] > lease
    assert gateway.session().renewals == 1
    await assert_refused(http_client, request, "previous_expires_at", 409)


async def test_lease_of_xai_cannot_be_renewed(
    gateway: LocalGateway, http_client: httpx.AsyncClient
) -> None:
    minted = await mint(http_client, s2s(**GOOGLE))
    google = minted["sessionId"]
    url = minted["reservation"]["billing"]["renewalUrl"]
    xai = await mint(http_client, s2s(**XAI))
    headers = {"Authorization": f"Bearer {xai['telemetry']['token']}"}
    body = {"previous_expires_at": xai["reservation"]["leaseExpiresAt"]}
    request = {"url": url.replace(google, xai["sessionId"]), "json": body, "headers": headers}
    await assert_refused(http_client, request, "cannot be renewed", 409)
    assert gateway.session().renewals == 0


async def test_minted_session_is_sent_by_its_own_route_alone() -> None:
    with pytest.raises(RuntimeError, match="only the route sessions"):
        await MintedSession().write(None)  # type: ignore[arg-type]
