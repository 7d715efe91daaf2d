"""Requirements of the adapters on a client, and the clients that meet them."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import spekoai

from livekit_plugins_speko import Intent, Speko, SpekoApiError, SpekoLLM, SpekoSTT, SpekoTTS
from livekit_plugins_speko._base import SpekoClient, require_client
from livekit_plugins_speko.log import logger
from livekit_plugins_speko.testing import LocalGateway, Reply
from tests.helpers.llm_calls import chat, make_llm
from tests.helpers.stt_calls import make_stt
from tests.helpers.tts_calls import make_tts

METHODS = ("transcribe", "complete_stream", "synthesize_stream")


class Incomplete:
    def transcribe(self) -> None: ...

    def complete_stream(self) -> None: ...


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("client", [Speko, spekoai.AsyncSpeko])
def test_both_clients_accept_every_argument_of_the_adapters(client: type, method: str) -> None:
    asked = inspect.signature(getattr(SpekoClient, method)).parameters
    given = inspect.signature(getattr(client, method)).parameters
    assert set(asked) <= set(given)
    for name, parameter in asked.items():
        assert (given[name].kind, given[name].default) == (parameter.kind, parameter.default)


@pytest.mark.parametrize("adapter", [SpekoSTT, SpekoLLM, SpekoTTS])
@pytest.mark.parametrize("client", [Speko, spekoai.AsyncSpeko])
async def test_every_adapter_accepts_both_clients(adapter: Any, client: Any) -> None:
    async with client(api_key="sk-1") as speko:
        assert require_client(speko, "Test") is speko
        adapter(speko=speko, intent=Intent("en"))


@pytest.mark.parametrize("adapter", [SpekoSTT, SpekoLLM, SpekoTTS])
def test_synchronous_client_is_refused_with_alternatives(adapter: Any) -> None:
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
        ("sk-1", "str", "transcribe"),
        (Speko, "type", None),
        (Incomplete(), "Incomplete", "synthesize_stream"),
    ],
)
@pytest.mark.parametrize("adapter", [SpekoSTT, SpekoLLM, SpekoTTS])
def test_any_other_client_is_refused_by_name(
    adapter: Any, client: Any, found: str, lacks: str | None
) -> None:
    with pytest.raises(TypeError, match=f"^{adapter.__name__}: speko must be a.* {found}") as no:
        adapter(speko=client, intent=Intent("en"))
    assert lacks is None or f"which has no {lacks}()" in str(no.value)


class Forwarding:
    """A client of the user's own that passes every option on."""

    def __init__(self, speko: Speko) -> None:
        self.speko, self.agents = speko, speko.agents

    async def transcribe(self, audio: bytes, **options: Any) -> Any:
        return await self.speko.transcribe(audio, **options)

    def complete_stream(self, **options: Any) -> Any:
        return self.speko.complete_stream(**options)

    async def synthesize_stream(self, text: str, **options: Any) -> Any:
        return await self.speko.synthesize_stream(text, **options)


async def test_client_with_kwargs_gets_only_the_protocols_options(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply("Hi."))
    await chat(make_llm(Forwarding(speko), temperature=0.5))
    assert gateway.requests[0].json["temperature"] == 0.5
    assert "voiceOptimized" not in gateway.requests[0].json


@pytest.mark.parametrize(
    ("make", "option"), [(make_stt, {"prompt": "At a bakery."})], ids=["prompt"]
)
async def test_option_that_the_client_lacks_is_named_once(
    caplog: pytest.LogCaptureFixture, make: Any, option: dict[str, Any]
) -> None:
    async with spekoai.AsyncSpeko(api_key="sk-1") as official:
        adapter = make(official, **option)
        adapter.update_options()
    ((record),) = [each for each in caplog.records if each.name == logger.name]
    assert (record.levelname, vars(record)["option"]) == ("WARNING", "prompt")


@pytest.mark.parametrize("adapter", [SpekoSTT, SpekoLLM, SpekoTTS])
class TestOwnClient:
    """Without a client an adapter makes one of the environment, and closes it."""

    async def test_is_closed_with_the_adapter(
        self, monkeypatch: pytest.MonkeyPatch, adapter: Any
    ) -> None:
        monkeypatch.setenv("SPEKO_API_KEY", "sk-1")
        monkeypatch.setenv("SPEKO_BASE_URL", "http://127.0.0.1:9")
        part = adapter(intent=Intent("en"))
        speko = part._client.speko
        assert speko.base_url == "http://127.0.0.1:9"
        await part.aclose()
        with pytest.raises(SpekoApiError, match="The client is closed"):
            await speko.synthesize("Hi.", language="en")

    def test_needs_a_key(self, monkeypatch: pytest.MonkeyPatch, adapter: Any) -> None:
        monkeypatch.delenv("SPEKO_API_KEY", raising=False)
        with pytest.raises(ValueError, match="Set the environment variable SPEKO_API_KEY"):
            adapter(intent=Intent("en"))


@pytest.mark.parametrize("make", [make_stt, make_llm, make_tts])
async def test_client_that_was_passed_in_stays_open(
    gateway: LocalGateway, speko: Speko, make: Any
) -> None:
    gateway.complete.script(Reply("Hi."))
    await make(speko).aclose()
    assert await speko.complete(messages=[{"role": "user", "content": "Hi"}], intent=Intent("en"))
