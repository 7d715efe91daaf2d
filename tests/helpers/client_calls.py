"""One call of each kind, to a client that a test passes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeAlias

import pytest

from livekit_plugins_speko import Intent, Speko
from tests.helpers.gateway_requests import HELLO, make_wav

Call: TypeAlias = Callable[..., Coroutine[Any, Any, Any]]


def stream(speko: Speko, **options: Any) -> AsyncIterator[Any]:
    """The events of a completion."""
    return speko.complete_stream(messages=[HELLO], intent=Intent("en"), **options)


async def transcribe(speko: Speko, **options: Any) -> Any:
    """A complete transcription."""
    return await speko.transcribe(make_wav(), language="en", **options)


async def complete(speko: Speko, **options: Any) -> Any:
    """A complete completion."""
    return await speko.complete(messages=[HELLO], intent=Intent("en"), **options)


async def synthesize(speko: Speko, **options: Any) -> Any:
    """A complete synthesis."""
    return await speko.synthesize("Hello.", language="en", **options)


CALLS = pytest.mark.parametrize("call", [transcribe, complete, synthesize])
