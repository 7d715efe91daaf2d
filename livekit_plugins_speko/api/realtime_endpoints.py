"""The addresses that a speech-to-speech session's credentials may be sent to. No I/O."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

import httpx

from ..errors import UNSAFE_ENDPOINT, SpekoApiError
from .endpoint import is_loopback

XAI = "xai.realtime.v1"
GOOGLE = "google.live.v1"
OPENAI = "openai.realtime.v1"
"""Adapters: the forms of a provider's wire."""

PROVIDER_ENDPOINTS = {
    XAI: "wss://api.x.ai/v1/realtime",
    GOOGLE: (
        "wss://generativelanguage.googleapis.com/ws/google.ai.generativelanguage.v1beta."
        "GenerativeService.BidiGenerateContentConstrained"
    ),
}
"""The one address of each adapter that is spoken over a WebSocket."""

_DEFAULT_PORTS = {"ws": 80, "wss": 443, "http": 80, "https": 443}


def safe_proxy_url(url: str, *, base_url: str) -> str | None:
    """Return the URL of Speko's proxy as it is, if a token may be sent there; else None.

    It may be wss, or ws to this machine while the API is on it, without a user or a fragment.

    Args:
        url: The address that the service named.
        base_url: The client's.
    """
    parts = _split(url)
    if parts is None:
        return None
    return url if parts.scheme == "wss" or _is_local(parts, "ws", base_url) else None


def safe_provider_endpoint(adapter: str, endpoint: str, *, base_url: str) -> str | None:
    """Return the address of a provider, if its credential may be sent there; else None.

    It may be the provider's own, or on this machine while the API is on it, without a user, a
    query or a fragment.

    Args:
        adapter: The form of the wire, one of `PROVIDER_ENDPOINTS`.
        endpoint: The address that the service named.
        base_url: The client's.
    """
    expected = PROVIDER_ENDPOINTS[adapter]
    parts = _split(endpoint)
    if parts is not None and not parts.query and "?" not in endpoint:
        if _place(parts) == _place(urlsplit(expected)):
            return expected  # our own spelling: no other parser can take it for another host
        if any(_is_local(parts, scheme, base_url) for scheme in ("ws", "wss")):
            return endpoint
    return None


def is_safe_for_reports(url: str, *, base_url: str) -> bool:
    """Return True if a token of Speko's may be posted to `url`.

    That is so for https, and for what is as close as the API itself: its own origin, or this
    machine while the API is on it.
    """
    parts = _split(url)
    if parts is None:
        return False
    own = urlsplit(base_url)
    same_origin = _place(parts)[:3] == _place(own)[:3]
    return parts.scheme == "https" or same_origin or _is_local(parts, "http", base_url)


def _split(url: str) -> SplitResult | None:
    """Split an address; None for one that can't be used, or has a user or a fragment."""
    if not (url.isascii() and url.isprintable()) or any(each in url for each in " \\#"):
        return None
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and bool(httpx.URL(url).host)
    except (ValueError, httpx.InvalidURL):
        return None
    return parts if usable and "@" not in parts.netloc else None


def _place(parts: SplitResult) -> tuple[str, str | None, int | None, str]:
    port = parts.port if parts.port is not None else _DEFAULT_PORTS.get(parts.scheme)
    return parts.scheme, parts.hostname, port, parts.path


def _is_local(parts: SplitResult, scheme: str, base_url: str) -> bool:
    """Return True for an address on this machine, while the API is on it too."""
    return (
        parts.scheme == scheme and is_loopback(base_url) and is_loopback(f"http://{parts.netloc}")
    )


def unsafe_endpoint(name: str, expected: str) -> SpekoApiError:
    """Make the error of an address that must not be sent a credential, which it does not show.

    Raise it where no local variable holds the address: it may hold a token, and error trackers
    collect them.
    """
    return SpekoApiError(
        f"Speko's response names another {name} than a credential may be sent to, expected "
        f"{expected}. Nothing was sent.",
        0,
        UNSAFE_ENDPOINT,
    )
