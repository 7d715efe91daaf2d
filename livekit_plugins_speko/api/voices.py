"""The catalogue of voices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from .._checks import text_or_none
from .requests import HttpRequest
from .responses import as_object, malformed
from .transport import Transport


@dataclass(frozen=True, kw_only=True)
class Voice:
    """A voice.

    Attributes:
        vendor: Its provider, as constraints name it.
        id: Its id, as an adapter's ``voice`` takes it.
        name: Its name for people.
    """

    vendor: str
    id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class VoiceProvider:
    """A provider of voices.

    Attributes:
        key: Its key, as constraints name it.
        name: Its name for people.
        models: Its models.
        voices_fetched_live: Its voices belong to an account, and are not in the catalogue.
    """

    key: str
    name: str
    models: tuple[str, ...]
    voices_fetched_live: bool


@dataclass(frozen=True, kw_only=True)
class VoiceCatalogue:
    """The result of `Voices.list`.

    Attributes:
        voices: The voices.
        providers: The providers, those without a voice in the catalogue too.
    """

    voices: tuple[Voice, ...]
    providers: tuple[VoiceProvider, ...]


class Voices:
    """Calls about voices. Belongs to a `Speko`, as its ``voices``."""

    def __init__(self, transport: Transport) -> None:
        """Use the client's connections."""
        self._transport = transport

    async def list(self, *, provider: str | None = None) -> VoiceCatalogue:
        """List the voices.

        Args:
            provider: The only provider to list. None lists all of them.

        Raises:
            ValueError: A provider that is no string.
            SpekoApiError: The service failed, or its response can't be read.
            httpx.HTTPError: The network failed.
        """
        only = text_or_none("Speko: provider", provider)
        query = "" if only is None else f"?provider={quote(only, safe='')}"
        request = HttpRequest(method="GET", path=f"/v1/voices{query}")
        async with self._transport.open(request) as response:
            return parse_voices(as_object(await response.json(), "the list of voices"))


def parse_voices(payload: Mapping[str, object]) -> VoiceCatalogue:
    """Parse the catalogue. An entry that can't be read is left out.

    Raises:
        SpekoApiError: It has no list of voices.
    """
    if not isinstance(payload.get("voices"), list):
        raise malformed("the list of voices has no voices")
    return VoiceCatalogue(
        voices=tuple(
            Voice(vendor=_text(row, "vendor"), id=_text(row, "id"), name=_text(row, "name"))
            for row in _rows(payload, "voices")
            if _text(row, "id")
        ),
        providers=tuple(_provider(row) for row in _rows(payload, "providers") if _text(row, "key")),
    )


def _rows(payload: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
    rows = payload.get(name)
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _provider(row: Mapping[str, object]) -> VoiceProvider:
    models = row.get("models")
    return VoiceProvider(
        key=_text(row, "key"),
        name=_text(row, "name"),
        models=tuple(each for each in models if isinstance(each, str))
        if isinstance(models, list)
        else (),
        voices_fetched_live=row.get("voicesFetchedLive") is True,
    )


def _text(row: Mapping[str, object], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""
