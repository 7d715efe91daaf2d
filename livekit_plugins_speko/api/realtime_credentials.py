"""The credentials of a speech-to-speech session, in the three forms of the wire. No I/O."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from .responses import as_object, malformed

DEFAULT_RATE_HZ = 24_000
"""Rate of the audio where the service names none."""

DEFAULT_FLUSH_MS = 5_000
"""Time between two reports of usage, in milliseconds, where the service names none."""


@dataclass(frozen=True, kw_only=True, repr=False)
class RealtimeCredentials:
    """The credentials of one session. Its repr shows no token, no address and no instructions.

    Attributes:
        session_id: The session's id.
        expires_at: End of the credentials, as the service spells it.
    """

    session_id: str
    expires_at: str
    # The service's response, which holds the tokens.
    _wire: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def for_browser(self) -> dict[str, Any]:
        """Return the service's response as it came, for a page that connects by itself."""
        return copy.deepcopy(dict(self._wire))

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(session_id={self.session_id!r}, expires_at={self.expires_at!r})"


@dataclass(frozen=True, kw_only=True, repr=False)
class ProxyCredentials(RealtimeCredentials):
    """Credentials of Speko's own proxy. `expires_at` is the token's.

    Attributes:
        ws_url: Address of the socket.
        ws_token: Its only subprotocol.
        input_sample_rate: Rate of the audio to send, in Hz.
        output_sample_rate: Rate of the audio received, in Hz.
    """

    ws_url: str
    ws_token: str
    input_sample_rate: int = DEFAULT_RATE_HZ
    output_sample_rate: int = DEFAULT_RATE_HZ

    @property
    def tokens(self) -> tuple[str, ...]:
        """The secrets, which no text may show."""
        return (self.ws_token, self.ws_url)


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A provider's access token. `kind` is ``bearer``."""

    value: str = field(repr=False)
    expires_at: str
    kind: str = "bearer"


@dataclass(frozen=True, kw_only=True)
class Telemetry:
    """Place and pace of the reports of usage."""

    endpoint: str
    token: str = field(repr=False)
    flush_interval_ms: int = DEFAULT_FLUSH_MS


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """The time and the credits reserved for the session.

    Attributes:
        lease_expires_at: End of the lease, as the service spells it. Empty when it named none.
        authorized_duration_seconds: Longest duration that is paid for. None when not named.
        id: The reservation's id.
        renewal_url: Address at which the lease can be renewed, or None.
        renewable_until: Latest end of a renewed lease, as the service spells it, or None.
    """

    lease_expires_at: str = ""
    authorized_duration_seconds: float | None = None
    id: str = ""
    renewal_url: str | None = None
    renewable_until: str | None = None


@dataclass(frozen=True, kw_only=True, repr=False)
class DirectCredentials(RealtimeCredentials):
    """Credentials of a provider, to which the audio goes directly.

    Attributes:
        provider: The provider's name.
        model: The model's name at the provider.
        adapter: Form of the provider's wire.
        provider_transport: ``websocket`` or ``webrtc``.
        endpoint: Address of the provider.
        credential: What lets one in there.
        telemetry: Place and pace of the reports of usage; None when the service named none.
        reservation: What was reserved.
        plan_id: Id of the service's plan.
        attempt_id: Id of this attempt of the plan.
        session: Settings for the provider, as the service spells them.
        input_sample_rate: Rate of the audio to send, in Hz, or None.
        output_sample_rate: Rate of the audio received, in Hz, or None.
        sideband_url: Address of the sideband of a WebRTC connection, or None.
    """

    provider: str
    model: str
    adapter: str
    provider_transport: str
    endpoint: str
    credential: Credential
    telemetry: Telemetry | None = None
    reservation: Reservation = Reservation()
    plan_id: str = ""
    attempt_id: str = ""
    session: Mapping[str, Any] = field(default_factory=dict)
    input_sample_rate: int | None = None
    output_sample_rate: int | None = None
    sideband_url: str | None = None
    transport: str = "provider_direct"

    @property
    def tokens(self) -> tuple[str, ...]:
        """The secrets, which no text may show."""
        reports = () if self.telemetry is None else (self.telemetry.token,)
        return (self.credential.value, *reports)


@dataclass(frozen=True, kw_only=True, repr=False)
class HostedCredentials(RealtimeCredentials):
    """Credentials of a room in which a model of Speko's own worker speaks.

    Attributes:
        transport_url: Address of the LiveKit server.
        transport_token: Token of the participant.
    """

    transport_url: str
    transport_token: str
    transport: str = "livekit"


def parse_credentials(value: object) -> RealtimeCredentials:
    """Parse the response to ``POST /v1/sessions``. Its fields determine its form.

    Raises:
        SpekoApiError: It can't be read (``MALFORMED_RESPONSE``). The text quotes none of it.
    """
    wire = as_object(value, "the session")
    common: dict[str, Any] = {
        "session_id": _text(wire, "sessionId"),
        "expires_at": _moment(wire.get("expiresAt")),
        "_wire": _copy(wire),
    }
    if wire.get("transport") == "provider_direct":
        return _direct(wire, common)
    if wire.get("transport") == "livekit":
        return HostedCredentials(
            transport_url=_text(wire, "transportUrl"),
            transport_token=_token(wire, "transportToken"),
            **common,
        )
    if "wsUrl" not in wire:
        raise malformed("the session has no transport that is known, and no wsUrl")
    return ProxyCredentials(
        ws_url=_text(wire, "wsUrl"),
        ws_token=_token(wire, "wsToken"),
        input_sample_rate=_rate(wire, "inputSampleRate") or DEFAULT_RATE_HZ,
        output_sample_rate=_rate(wire, "outputSampleRate") or DEFAULT_RATE_HZ,
        **common,
    )


def _copy(wire: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return copy.deepcopy(wire)
    except RecursionError:
        pass
    raise malformed("the session is nested too deep")


def _direct(wire: Mapping[str, Any], common: dict[str, Any]) -> DirectCredentials:
    return DirectCredentials(
        provider=_optional(wire, "provider") or "unknown",
        model=_text(wire, "model"),
        adapter=_text(wire, "adapter"),
        provider_transport=_optional(wire, "providerTransport") or "websocket",
        endpoint=_text(wire, "endpoint"),
        credential=_credential(wire.get("credential"), "expiresAt"),
        telemetry=_telemetry(wire.get("telemetry")),
        reservation=_reservation(wire.get("reservation")),
        plan_id=_optional(wire, "planId") or "",
        attempt_id=_optional(wire, "attemptId") or "",
        session=_mapping(common["_wire"].get("session")),
        input_sample_rate=_rate(wire, "inputSampleRate"),
        output_sample_rate=_rate(wire, "outputSampleRate"),
        sideband_url=_optional(wire, "sidebandUrl"),
        **common,
    )


def parse_renewal(value: object, before: DirectCredentials) -> DirectCredentials:
    """Parse the response to a renewal: the credentials, with a new lease and credential.

    Raises:
        SpekoApiError: It can't be read. The text quotes none of it.
    """
    wire = as_object(value, "the renewal")
    lease = _moment(wire.get("lease_expires_at"))
    if not lease:
        raise malformed("the renewal has no lease_expires_at")
    authorized = _number(wire.get("authorized_duration_seconds"))
    reservation = replace(
        before.reservation,
        lease_expires_at=lease,
        authorized_duration_seconds=authorized or before.reservation.authorized_duration_seconds,
    )
    credential = _credential(wire.get("credential"), "expires_at")
    expires_at = credential.expires_at or before.expires_at
    return replace(before, reservation=reservation, credential=credential, expires_at=expires_at)


def parse_time(value: str) -> float | None:
    """Parse a moment of the service's: ISO 8601, or a number of seconds or milliseconds.

    Returns:
        Seconds since 1970, or None for a text that is no moment.
    """
    try:
        number = float(value)
    except ValueError:
        pass
    else:
        # 1e11 s is in the year 5138, 1e11 ms in 1973.
        return (number / 1000 if number > 1e11 else number) if math.isfinite(number) else None
    try:
        # Python 3.10 knows neither "Z" nor fractions of one digit.
        moment = datetime.fromisoformat(_with_plain_fraction(value.strip()))
        return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()
    except (ValueError, OverflowError):
        return None


def _with_plain_fraction(value: str) -> str:
    """Rewrite a time for Python 3.10: six digits after the dot, and an offset."""
    if value[-1:] in ("Z", "z"):
        value = value[:-1] + "+00:00"
    head, dot, tail = value.partition(".")
    if not dot:
        return value
    digits = len(tail) - len(tail.lstrip("0123456789"))
    return f"{head}.{tail[:digits][:6]:0<6}{tail[digits:]}"


def _credential(value: object, expires_at: str) -> Credential:
    wire = as_object(value, "the credential")
    return Credential(
        kind=_optional(wire, "kind") or "bearer",
        value=_token(wire, "value"),
        expires_at=_moment(wire.get(expires_at)),
    )


def _telemetry(value: object) -> Telemetry | None:
    """Parse where to report to. Reports are best effort: without a place there are none."""
    wire = _mapping(value)
    endpoint, token = _optional(wire, "endpoint"), _optional(wire, "token")
    if endpoint is None or token is None or not _fits_a_header(token):
        return None
    flush = _number(wire.get("flushIntervalMs"))
    return Telemetry(
        endpoint=endpoint, token=token, flush_interval_ms=int(flush or DEFAULT_FLUSH_MS)
    )


def _reservation(value: object) -> Reservation:
    wire = _mapping(value)
    billing = _mapping(wire.get("billing"))
    return Reservation(
        id=_optional(wire, "id") or "",
        lease_expires_at=_moment(wire.get("leaseExpiresAt")),
        authorized_duration_seconds=_number(wire.get("authorizedDurationSeconds")),
        renewal_url=_optional(billing, "renewalUrl"),
        renewable_until=_moment(billing.get("renewableUntil")) or None,
    )


def _text(wire: Mapping[str, Any], key: str) -> str:
    value = wire.get(key)
    if not isinstance(value, str) or not value:
        raise malformed(f"the session has no {key}")
    return value


def _token(wire: Mapping[str, Any], key: str) -> str:
    value = _text(wire, key)
    if not _fits_a_header(value):
        raise malformed(f"{key} holds characters that no header can hold")
    return value


def _fits_a_header(token: str) -> bool:
    """Return True for a token that can be a subprotocol, or follow ``Bearer``."""
    return token.isascii() and token.isprintable() and not set(" ,") & set(token)


def _optional(wire: Mapping[str, Any], key: str) -> str | None:
    value = wire.get(key)
    return value if isinstance(value, str) and value else None


def _moment(value: object) -> str:
    """Return a time in the service's spelling; empty when there is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)


def _rate(wire: Mapping[str, Any], key: str) -> int | None:
    value = wire.get(key)
    return value if value in (16_000, 24_000) and isinstance(value, int) else None


def _number(value: object) -> float | None:
    """Return a number above 0; None for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < 1e9 else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def read_tools(session: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the tools of a provider's settings, with the keys that the provider takes."""
    tools = session.get("tools")
    return [
        {key: tool[key] for key in ("name", "description", "parameters") if key in tool}
        for tool in (tools if isinstance(tools, list) else [])
        if isinstance(tool, dict) and _optional(tool, "name")
    ]
