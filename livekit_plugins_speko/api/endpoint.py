"""The API key and the base URL, from options and from the environment."""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit

import httpx

DEFAULT_BASE_URL = "https://api.speko.dev"
"""The public service."""


def read_api_key(api_key: str | None) -> str:
    """Return the API key: the option, or the environment's ``SPEKO_API_KEY``.

    Raises:
        ValueError: There is none, or no header can hold it. The text does not show it.
    """
    key = (os.environ.get("SPEKO_API_KEY", "") if api_key is None else api_key).strip()
    if not key:
        raise ValueError(
            "Speko: no API key. Set the environment variable SPEKO_API_KEY, or pass api_key=."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(
            "Speko: the API key holds characters that no key has (spaces, line ends or letters "
            "outside ASCII). Copy it again, or look into SPEKO_API_KEY."
        )
    return key


def read_base_url(base_url: str | None, *, allow_http: bool = False) -> str:
    """Return the base URL: the option, else ``SPEKO_BASE_URL``, else the public service.

    Raises:
        ValueError: It isn't http(s), has no host, or carries more than an address. Or it is http
            to another machine without `allow_http`.
    """
    url = os.environ.get("SPEKO_BASE_URL") or DEFAULT_BASE_URL if base_url is None else base_url
    url = url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        usable = usable and url.isprintable() and " " not in url and bool(httpx.URL(url).host)
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable:
        raise ValueError(
            f"Speko: base_url must be an http(s) address with a host such as {DEFAULT_BASE_URL}, "
            f"got {url!r}. It comes from base_url=, or from SPEKO_BASE_URL."
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(
            f"Speko: base_url must be a plain address such as {DEFAULT_BASE_URL}, without a user, "
            "a query or a fragment. The API key is what lets you in."
        )
    if parts.scheme == "http" and not allow_http and not is_loopback(url):
        raise ValueError(
            f"Speko: base_url must be https, got {url!r}: over http anyone on the way to another "
            "machine reads the API key and the call. Pass allow_http=True where that is safe."
        )
    return url


def is_loopback(url: str) -> bool:
    """Return True if a URL's host is this machine."""
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
