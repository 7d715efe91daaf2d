"""One TLS context for every client of this process, built where no call waits for it.

Reading the certificate authorities takes some 40 ms, and a context may be shared.
"""

from __future__ import annotations

import asyncio
import functools
import os
import ssl
import threading

import httpx

# Finished contexts, by the files that the environment names for them.
_contexts: dict[tuple[str | None, str | None], ssl.SSLContext] = {}
_building = threading.Lock()


def shared_context() -> ssl.SSLContext:
    """Return the context with httpx's default authorities. Blocks its thread the first time.

    They are certifi's list, or those of the environment's ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``.

    Raises:
        ValueError: The file is not there, or holds no certificates.
    """
    source = _source()
    with _building:
        if source not in _contexts:
            try:
                _contexts[source] = httpx.create_ssl_context()
            except (OSError, ssl.SSLError) as error:
                raise _unusable(source[0], str(error)) from None
        return _contexts[source]


def check_certificates() -> None:
    """Check the environment's certificates, as far as that takes no time.

    Raises:
        ValueError: ``SSL_CERT_FILE`` names no file.
    """
    file, _ = _source()
    if file and not os.path.isfile(file):
        raise _unusable(file, "there is no such file")


def context_at_hand(scheme: str) -> ssl.SSLContext | None:
    """Return a context if that takes no time, else None.

    Args:
        scheme: ``http`` needs none, and gets one without authorities.
    """
    if scheme == "http":
        return _without_authorities()
    if not on_loop():
        return shared_context()
    return _contexts.get(_source())


def on_loop() -> bool:
    """Return True if an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _unusable(file: str | None, why: str) -> ValueError:
    return ValueError(
        f"Speko: the certificates of SSL_CERT_FILE ({file}) can't be used: {why}. Name a file of "
        "PEM certificates, or leave it unset for certifi's."
    )


@functools.cache
def _without_authorities() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _source() -> tuple[str | None, str | None]:
    return os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
