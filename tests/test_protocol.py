"""What the adapters ask of a client, and who can give it."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import spekoai

from livekit_plugins_speko import Intent, Speko, SpekoLLM, SpekoSTT, SpekoTTS
from livekit_plugins_speko._base import SpekoClient, require_client

METHODS = ("transcribe", "complete_stream", "synthesize_stream")


class Incomplete:
    def transcribe(self) -> None: ...

    def complete_stream(self) -> None: ...


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("client", [Speko, spekoai.AsyncSpeko])
def test_both_clients_take_every_argument_that_the_adapters_may_give(
    client: type, method: str
) -> None:
    asked = inspect.signature(getattr(SpekoClient, method)).parameters
    given = inspect.signature(getattr(client, method)).parameters
    assert set(asked) <= set(given)
    for name, parameter in asked.items():
        assert (given[name].kind, given[name].default) == (parameter.kind, parameter.default)


@pytest.mark.parametrize("adapter", [SpekoSTT, SpekoLLM, SpekoTTS])
@pytest.mark.parametrize("client", [Speko, spekoai.AsyncSpeko])
async def test_both_clients_are_taken_by_every_adapter(adapter: Any, client: Any) -> None:
    async with client(api_key="sk-1") as speko:
        assert require_client(speko, "Test") is speko
        adapter(speko=speko, intent=Intent("en"))


@pytest.mark.parametrize("adapter", [SpekoSTT, SpekoLLM, SpekoTTS])
def test_a_synchronous_client_is_refused_with_the_names_of_others(adapter: Any) -> None:
    with spekoai.Speko(api_key="sk-1") as client:
        with pytest.raises(TypeError) as refused:
            adapter(speko=client, intent=Intent("en"))
    assert str(refused.value) == (
        f"{adapter.__name__}: speko must be an async client, got the synchronous Speko. "
        "Use Speko, or AsyncSpeko of the official SDK."
    )


@pytest.mark.parametrize(
    ("client", "found", "lacks"),
    [
        (None, "NoneType", "transcribe"),
        ("sk-1", "str", "transcribe"),
        (Speko, "type", None),
        (Incomplete(), "Incomplete", "synthesize_stream"),
    ],
)
@pytest.mark.parametrize("adapter", [SpekoSTT, SpekoLLM, SpekoTTS])
def test_what_is_no_client_is_refused_by_name(
    adapter: Any, client: Any, found: str, lacks: str | None
) -> None:
    with pytest.raises(TypeError, match=f"^{adapter.__name__}: speko must be a.* {found}") as no:
        adapter(speko=client, intent=Intent("en"))
    assert lacks is None or f"which has no {lacks}()" in str(no.value)
