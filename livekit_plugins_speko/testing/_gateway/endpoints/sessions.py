"""`POST /v1/sessions`: a new voice session, and the route that mints its credentials."""

from __future__ import annotations

from typing import Any

from ...answers import Answer, Refusal
from ...sessions import JsonAnswer, LostAnswer, MintedSession
from ..endpoint import Endpoint
from ..fields import CONSTRAINTS, INTENT, LANGUAGE_PATTERN, check_json_body
from ..limits import MAX_JSON_BYTES, MAX_KEYWORDS, MAX_TOOLS
from ..minting import make_session, render_session
from ..request import GatewayRequest
from ..route import Route
from ..session_store import SessionStore
from ..shapes import (
    InvalidRequest,
    json_object,
    list_of,
    matching,
    number,
    one_of,
    record,
    string,
    text,
    text_up_to,
    whole,
    wrong,
)
from .agents import RegisteredAgents

_MAX_FIRST_MESSAGE_CHARS = 2000
_TOOL = record(
    {"name": text, "description": string, "parameters": json_object},
    required=("name", "description", "parameters"),
)
_RATE = (16_000, 24_000)


def _check_rate(value: Any, where: str) -> None:
    if value not in _RATE:
        raise wrong(where, value, "16000 or 24000")


def _check_first_message(value: Any, where: str) -> None:
    """Accept an empty string too: the session then opens listening."""
    string(value, where)
    if len(value) > _MAX_FIRST_MESSAGE_CHARS:
        raise InvalidRequest(
            f"{where}: found {len(value)} characters, expected <= {_MAX_FIRST_MESSAGE_CHARS}"
        )


def _check_strings(value: Any, where: str) -> None:
    json_object(value, where)
    for name, item in value.items():
        string(item, f"{where}.{name}")


_MODE = one_of("cascade", "s2s")
_COMMON = {
    "mode": _MODE,
    "agentId": text,
    "intent": INTENT,
    "metadata": json_object,
}
_S2S = record(
    {
        "provider": one_of("openai", "google", "xai", "inworld", "alibaba"),
        "model": text,
        "voice": text,
        "systemPrompt": string,
        "temperature": number(0, 2),
        "inputSampleRate": _check_rate,
        "outputSampleRate": _check_rate,
        "tools": list_of(_TOOL, most=MAX_TOOLS),
        "thinkingLevel": one_of("low", "medium", "high"),
    }
)
_S2S_BODY = record(
    {**_COMMON, "s2s": _S2S, "webhookTags": _check_strings, "ttlSeconds": whole(1, 1800)},
    required=("mode", "s2s"),
)
_AMBIENT = record({"clip": text, "volume": number(0, 1)}, required=("clip",))
_CASCADE_BODY = record(
    {
        **_COMMON,
        "constraints": CONSTRAINTS,
        "voice": text,
        "systemPrompt": string,
        "firstMessage": _check_first_message,
        "variables": _check_strings,
        "llm": record({"temperature": number(0, 2), "maxTokens": whole(1)}),
        "ttsOptions": record({"sampleRate": whole(8000, 48000), "speed": number(0.5, 2)}),
        "sttOptions": record(
            {
                "keywords": list_of(text, most=MAX_KEYWORDS),
                "language": matching(f"{LANGUAGE_PATTERN}|auto|multi", "a language, auto or multi"),
            }
        ),
        "backgroundAudio": record({"ambient": _AMBIENT}, required=("ambient",)),
        "ttlSeconds": whole(1, 86_400),
        "identity": text_up_to(128),
    }
)


def _check_body(value: Any, where: str) -> None:
    json_object(value, where)
    mode = value.get("mode", "cascade")
    _MODE(mode, f"{where}.mode")
    if mode == "cascade":
        _CASCADE_BODY(value, where)
        if "agentId" not in value and "intent" not in value:
            raise InvalidRequest(f"{where}: found neither agentId nor intent, expected one")
        return
    _S2S_BODY(value, where)
    s2s = value["s2s"]
    if ("provider" in s2s) != ("model" in s2s):
        raise InvalidRequest(f"{where}.s2s: found one of provider and model, expected both or none")
    if "provider" not in s2s and "agentId" not in value and "intent" not in value:
        raise InvalidRequest(f"{where}: found no provider, agentId or intent, expected one")
    if "thinkingLevel" in s2s and s2s.get("provider", "google") != "google":
        raise InvalidRequest(f"{where}.s2s.thinkingLevel: found it for a model other than Gemini")
    if "webhookTags" in value and "agentId" not in value:
        raise InvalidRequest(f"{where}.webhookTags: found them without an agentId")


class SessionsRoute(Route):
    """The answers to `POST /v1/sessions`, which makes the sessions of a `MintedSession`.

    A request with the idempotency key of an earlier one gets the same response, without a step
    of the script.
    """

    def __init__(self, store: SessionStore, agents: RegisteredAgents) -> None:
        """Make a route that mints a session for each valid request.

        Args:
            store: The gateway's sessions.
            agents: The gateway's agents.
        """
        super().__init__("sessions")
        self._store = store
        self._agents = agents
        self.always(MintedSession())
        self.endpoint = Endpoint(
            self.name, "POST", "/v1/sessions", check=self._check, max_body_bytes=MAX_JSON_BYTES
        )

    async def answer(self, request: GatewayRequest) -> Answer | None:
        """Repeat the response of an earlier request, or take the next step.

        Args:
            request: A request that has passed the checks.

        Returns:
            The answer.
        """
        key = request.headers.get("Idempotency-Key")
        earlier = self._store.recall(key)
        if earlier is not None:
            if earlier[0] != request.body:
                return Refusal(
                    400,
                    "header Idempotency-Key: found the key of another body, expected a new one",
                    "VALIDATION_ERROR",
                )
            return JsonAnswer(earlier[1], status=201)
        answer = await super().answer(request)
        return self._mint(request, answer) if isinstance(answer, MintedSession) else answer

    def _mint(self, request: GatewayRequest, wanted: MintedSession) -> Answer:
        session = self._store.add(
            make_session(
                request.json,
                form=wanted.form,
                ttl_s=wanted.ttl_s,
                token_ttl_s=wanted.token_ttl_s,
                lease_s=wanted.lease_s,
            )
        )
        rendered = {**render_session(session, host=request.headers["Host"]), **wanted.changes}
        response = {name: value for name, value in rendered.items() if value is not None}
        self._store.remember(request.headers.get("Idempotency-Key"), request.body, response)
        return LostAnswer() if wanted.lost else JsonAnswer(response, status=201)

    def _check(self, request: GatewayRequest) -> None:
        check_json_body(request.headers, request.body, _check_body)
        if "Idempotency-Key" in request.headers:
            text(request.headers["Idempotency-Key"], "header Idempotency-Key")
        agent_id = request.json.get("agentId")
        if agent_id is not None and not self._agents.knows(agent_id):
            raise InvalidRequest(
                f"agentId: found {agent_id}, expected a registered one",
                status=404,
                code="AGENT_NOT_FOUND",
            )
