"""`GET /v1/voices`: the voices of the providers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...answers import Answer
from ...sessions import JsonAnswer
from ..endpoint import Endpoint
from ..request import GatewayRequest
from ..shapes import record, text

_QUERY = record({"provider": text})


def _check(request: GatewayRequest) -> None:
    _QUERY(dict(request.query), "query")


ENDPOINT = Endpoint("voices", "GET", "/v1/voices", check=_check)


class RegisteredVoices:
    """An engine for the `voices` route that keeps the voices."""

    def __init__(self) -> None:
        """Make one that has no voice."""
        self._voices: list[dict[str, Any]] = []

    def register(self, voices: Iterable[Mapping[str, Any]]) -> None:
        """Set the voices, in place of earlier ones.

        Args:
            voices: Each has `vendor`, `id` and `name`, and any other field.
        """
        self._voices = [dict(voice) for voice in voices]

    async def __call__(self, request: GatewayRequest, /) -> Answer:
        """Return the voices, those of one provider where the query names it.

        Args:
            request: A request for voices.

        Returns:
            The voices and their providers.
        """
        wanted = request.query.get("provider")
        voices = [voice for voice in self._voices if wanted in (None, voice["vendor"])]
        vendors = dict.fromkeys(voice["vendor"] for voice in voices)
        providers = [
            {"key": vendor, "name": vendor.title(), "models": [], "voicesFetchedLive": False}
            for vendor in vendors
        ]
        return JsonAnswer({"voices": voices, "providers": providers})
