"""The rows that every stage has: the network's faults, and the statuses."""

from __future__ import annotations

from typing import Any

from livekit_plugins_speko.testing import Latency, Refusal
from tests.faults.answers import End, Raw, closed, reset, silence
from tests.faults.rows import ALL, HALF, IMPATIENT_S, NOTHING, Row
from tests.faults.stages import Stage

BROKEN = "APIConnectionError, RemoteProtocolError"
RESET = "APIConnectionError, ReadError"
TIMEOUT = "APITimeoutError"
IMPATIENT: dict[str, Any] = {"patience_s": IMPATIENT_S}

STATUSES = (
    (400, "VALIDATION_ERROR", False),
    (401, "UNAUTHORIZED", False),
    (403, "FORBIDDEN", False),
    (404, "NOT_FOUND", False),
    (408, "REQUEST_TIMEOUT", True),
    (422, "INVALID_AUDIO", False),
    (500, "ALL_PROVIDERS_FAILED", True),
    (503, "UNAVAILABLE", True),
)


def network_rows(stage: Stage) -> list[Row]:
    """Faults of the network under a call."""
    return [
        Row(
            fault="connection refused",
            stage=stage,
            answer=None,
            error="APIConnectionError, ConnectError",
            retried=True,
        ),
        Row(
            fault="connecting takes for ever",
            stage=stage,
            answer=None,
            hangs=True,
            error=TIMEOUT,
            retried=True,
            **IMPATIENT,
        ),
        *_before_the_headers(stage),
        in_the_middle(stage, "reset in the middle of the body", RESET, reset),
        in_the_middle(stage, f"reset in the middle of {stage.unit}", RESET, reset, extra=True),
        in_the_middle(stage, "closed in the middle of the body", BROKEN, closed),
        in_the_middle(stage, "a stall in the middle", TIMEOUT, silence, **IMPATIENT),
        Row(
            fault="slow and healthy, longer than timeout",
            stage=stage,
            answer=Raw(stage.pieces, stage.content_type),
            heard=ALL,
            # Longer than a busy machine holds a piece up.
            patience_s=1.0,
            latency=Latency(between_s=0.25),
            at_least_s=2.0,
        ),
    ]


def _before_the_headers(stage: Stage) -> list[Row]:
    def row(fault: str, error: str, answer: Raw, **more: Any) -> Row:
        return Row(fault=fault, stage=stage, answer=answer, error=error, retried=True, **more)

    headers_only = Raw((), stage.content_type, then=silence)
    return [
        row("accepted, then silence", TIMEOUT, Raw(status=None, then=silence), **IMPATIENT),
        row("headers, then silence", TIMEOUT, headers_only, **IMPATIENT),
        row("reset before the headers", RESET, Raw(status=None, then=reset)),
        row("closed before the headers", BROKEN, Raw(status=None, then=closed)),
    ]


def in_the_middle(
    stage: Stage, fault: str, error: str, then: End, *, extra: bool = False, **more: Any
) -> Row:
    """A fault after half of the answer; `extra` adds an odd number of bytes of the next piece."""
    pieces = stage.pieces[: stage.middle]
    if extra:
        pieces += (stage.pieces[stage.middle][:15],)
    return Row(
        fault=fault,
        stage=stage,
        answer=Raw(pieces, stage.content_type, then=then, waits=stage.heard_in_the_middle),
        error=error,
        retried=stage.retried_in_the_middle,
        heard=HALF if stage.heard_in_the_middle else NOTHING,
        **more,
    )


def status_rows(stage: Stage) -> list[Row]:
    """Refusals of a call by a service, or by a proxy in front of it."""

    def row(fault: str, error: str, answer: Raw | Refusal, **more: Any) -> Row:
        return Row(fault=fault, stage=stage, answer=answer, error=error, **more)

    def limited(fault: str, headers: dict[str, str], **more: Any) -> Row:
        answer = Refusal(429, "slow down", "RATE_LIMITED", headers=headers)
        return row(fault, "APIStatusError 429, RATE_LIMITED", answer, **more)

    page = Refusal(502, body="<html><h1>Bad Gateway</h1></html>")
    gone = Refusal(499, "gone", "CANCELLED")
    moved = Raw(status=307, headers={"Location": "http://127.0.0.1:9/"})
    patient, long = {"Retry-After": "1"}, {"Retry-After": "60"}
    return [
        *(
            row(
                f"{status} {code}",
                f"APIStatusError {status}, {code}",
                Refusal(status, "no", code),
                retried=retried,
            )
            for status, code, retried in STATUSES
        ),
        limited("429 without Retry-After", {}, retried=True),
        limited("429 with Retry-After: 1", patient, retried=True, at_least_s=1.0),
        limited("429, Retry-After longer than timeout", long),
        row("502 with a proxy's HTML", "APIStatusError 502, UNKNOWN", page, retried=True),
        row("499, LiveKit's own 'client closed'", "APIError, CANCELLED", gone, retried=True),
        row("307 to another host", "APIStatusError 307, UNKNOWN", moved),
    ]
