"""One connector for each client: it makes a session of the service and connects to it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..api.client import Speko
from ..api.realtime_options import RealtimeOptions
from ..errors import SpekoApiError
from .connections import Connection, Connector
from .sdk_connection import SdkConnector


def require_connector(client: object, options: RealtimeOptions) -> Callable[[], Connector]:
    """Return what makes the connectors of `client`.

    Args:
        client: A `Speko`, or an ``AsyncSpeko`` with ``connect_realtime``.
        options: The options that it will connect with.

    Raises:
        TypeError: The client has no speech to speech.
        ValueError: The client cannot send an option.
    """
    if isinstance(client, Speko):
        return partial(SpekoConnector, client)
    if callable(getattr(client, "connect_realtime", None)):
        if options.model is None or options.intent is not None:
            raise ValueError(
                f"SpekoRealtimeModel: {type(client).__name__} cannot route speech to speech. Pass "
                "provider and model instead of an intent, or use Speko."
            )
        return partial(SdkConnector, client)
    raise TypeError(
        f"SpekoRealtimeModel: {type(client).__name__} has no speech to speech. "
        "Use Speko, or AsyncSpeko of spekoai 0.2 or newer."
    )


class SpekoConnector:
    """Connects with a `Speko`. A POST without a response is repeated with its idempotency key."""

    def __init__(self, speko: Speko) -> None:
        """Use `speko`, which stays the caller's."""
        self._speko = speko
        # The options of a POST whose response was lost, and its key. None without one.
        self._lost: tuple[Mapping[str, Any], str] | None = None

    async def connect(self, options: Mapping[str, Any]) -> Connection:
        """Make a session and connect to it."""
        is_again = self._lost is not None and self._lost[0] == options
        key = self._lost[1] if self._lost is not None and is_again else str(uuid.uuid4())
        self._lost = (options, key)
        realtime = self._speko.realtime
        try:
            credentials = await realtime.create(RealtimeOptions(**options), idempotency_key=key)
        except SpekoApiError:
            self._lost = None  # a response came
            raise
        self._lost = None
        return await realtime.open(credentials)
