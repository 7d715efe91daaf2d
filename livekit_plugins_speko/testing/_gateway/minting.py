"""The response to `POST /v1/sessions`, in each form of its credentials."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from .session_store import GatewaySession, SessionForm, iso_time

XAI_PATH = "/v1/realtime"
GOOGLE_PATH = (
    "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContentConstrained"
)
TELEMETRY_PATH = "/v1/realtime/telemetry"
_ADAPTERS = {"xai": "xai.realtime.v1", "google": "google.live.v1", "openai": "openai.realtime.v1"}
_MODELS = {"xai": "grok-voice", "google": "gemini-live", "openai": "gpt-realtime"}


def make_session(
    settings: Mapping[str, Any],
    *,
    form: SessionForm | None,
    ttl_s: float | None,
    token_ttl_s: float | None,
    lease_s: float | None,
) -> GatewaySession:
    """Make a session as a request asks for it.

    Args:
        settings: The body of the request, checked.
        form: The form of its credentials; None for the one that the request leads to.
        ttl_s: Its life in seconds; None for the request's.
        token_ttl_s: The life of its token in seconds; None for the session's.
        lease_s: The length of its lease in seconds; None for the session's life.

    Returns:
        The session.
    """
    form = form or _form_of(settings)
    default_s = 900 if form == "cascade" else 1800
    life_s = float(settings.get("ttlSeconds", default_s)) if ttl_s is None else ttl_s
    s2s, now = settings.get("s2s", {}), time.time()
    named = form if form in _ADAPTERS else "openai"
    in_room = form == "cascade"
    return GatewaySession(
        id=f"session_{uuid4().hex[:12]}",
        form=form,
        settings=settings,
        provider=None if in_room else str(s2s.get("provider", named)),
        model=None if in_room else str(s2s.get("model", _MODELS[named])),
        expires_at=now + (life_s if token_ttl_s is None else token_ttl_s),
        ends_at=now + life_s,
        lease_expires_at=now + (life_s if lease_s is None else lease_s),
        lease_s=life_s if lease_s is None else lease_s,
        renewable=form == "google",
    )


def _form_of(settings: Mapping[str, Any]) -> SessionForm:
    if settings.get("mode", "cascade") == "cascade":
        return "cascade"
    provider = settings.get("s2s", {}).get("provider")
    return provider if provider in ("xai", "google") else "proxy"


def render_session(session: GatewaySession, *, host: str) -> dict[str, Any]:
    """Return the response that has a session's credentials.

    Args:
        session: The session.
        host: The gateway's host and port.

    Returns:
        The JSON object.
    """
    common: dict[str, Any] = {"sessionId": session.id, "expiresAt": iso_time(session.expires_at)}
    if session.form == "cascade":
        return {**common, **_room(session), "transport": "livekit"}
    common["mode"] = "s2s"
    if session.form == "hosted":
        return {**common, **_room(session), "transport": "livekit"}
    rates = {
        "inputSampleRate": session.input_rate_hz,
        "outputSampleRate": session.output_rate_hz,
    }
    if session.form == "proxy":
        url = f"ws://{host}/v1/sessions/{session.id}/realtime"
        return {**common, "wsUrl": url, "wsToken": session.token, **rates}
    return {**common, **_direct(session, host), **rates}


def _room(session: GatewaySession) -> dict[str, Any]:
    """Return the credentials of a room; there is no LiveKit server at its address."""
    return {
        "transportToken": session.token,
        "transportUrl": "wss://livekit.invalid",
        "roomName": f"room-{session.id}",
        "identity": session.settings.get("identity", f"user_{session.id}"),
    }


def _direct(session: GatewaySession, host: str) -> dict[str, Any]:
    """Return the credentials of a provider, whose socket the gateway stands in for."""
    path = {"xai": XAI_PATH, "google": GOOGLE_PATH, "openai": "/v1/realtime/calls"}[session.form]
    scheme = "http" if session.form == "openai" else "ws"
    settings = {
        ours: session.s2s[theirs]
        for ours, theirs in {
            "voice": "voice",
            "instructions": "systemPrompt",
            "temperature": "temperature",
            "tools": "tools",
            "thinkingLevel": "thinkingLevel",
        }.items()
        if theirs in session.s2s
    }
    return {
        "transport": "provider_direct",
        "planId": f"plan-{session.id}",
        "attemptId": session.attempt_id,
        "provider": session.provider,
        "model": session.model,
        "adapter": _ADAPTERS[session.form],
        "providerTransport": "webrtc" if session.form == "openai" else "websocket",
        "endpoint": f"{scheme}://{host}{path}",
        "credential": {
            "kind": "bearer",
            "value": session.token,
            "expiresAt": iso_time(session.expires_at),
        },
        "telemetry": {
            "endpoint": f"http://{host}{TELEMETRY_PATH}",
            "token": session.telemetry_token,
            "flushIntervalMs": 5000,
        },
        "reservation": _reservation(session, host),
        "session": settings,
    }


def _reservation(session: GatewaySession, host: str) -> dict[str, Any]:
    billing: dict[str, Any] = {
        "mode": "direct_entitlement",
        "state": "estimated",
        "maximumAmountMicros": "1000000",
        "currency": "USD",
    }
    if session.renewable:
        billing["renewalUrl"] = f"http://{host}/v1/sessions/{session.id}/lease/renew"
        billing["renewableUntil"] = iso_time(session.ends_at + 1800)
    return {
        "id": f"reservation-{session.id}",
        "authorizedDurationSeconds": max(1, round(session.lease_expires_at - time.time())),
        "leaseExpiresAt": iso_time(session.lease_expires_at),
        "billing": billing,
    }
