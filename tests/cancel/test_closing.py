"""A closing that is cancelled at any turn of the loop closes everything all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from livekit.agents import llm

from livekit_plugins_speko import Speko, SpekoLLM, SpekoRealtimeModel, SpekoTTS
from livekit_plugins_speko import create_speko_components as create_components
from livekit_plugins_speko.testing import LocalGateway, RealtimeScript, Reply
from tests.cancel.answers import Held
from tests.cancel.calls import SOON_S
from tests.cancel.servers import black_hole
from tests.helpers.client_calls import complete
from tests.helpers.eager_calls import LoudnessVAD
from tests.helpers.gateway_realtime import MODELS, PROVIDERS

TURNS = range(1, 40)
"""From the first turn on, in which the closing begins: one that never begins closes nothing."""


def make_client(gateway: LocalGateway) -> Speko:
    return Speko(base_url=gateway.base_url, api_key=gateway.api_key)


async def cancel_closing(close: Callable[[], Awaitable[None]], turns: int) -> bool:
    """Cancel a closing after so many turns of the loop; return whether it was over before that."""

    async def closing() -> None:
        await close()

    task = asyncio.create_task(closing())
    for _ in range(turns):
        await asyncio.sleep(0)
    over = task.done()
    task.cancel()
    await asyncio.wait([task], timeout=SOON_S)
    assert task.done(), "the closing hangs"
    return over


async def test_client_that_is_idle(gateway: LocalGateway) -> None:
    """It has two pools, and two voice models."""
    gateway.complete.always(Reply("Hi."))
    gateway.realtime.always(RealtimeScript())
    for turns in TURNS:
        speko = make_client(gateway)
        await asyncio.gather(*(complete(speko) for _ in range(6)))
        for form in ("xai", "google"):
            await speko.realtime.connect(provider=PROVIDERS[form], model=MODELS[form])
        over = await cancel_closing(speko.aclose, turns)
        await gateway.idle(within_s=SOON_S)
        if over:
            break


async def test_client_whose_calls_are_not_connected_yet() -> None:
    with black_hole() as address:
        for turns in TURNS:
            speko = Speko(base_url=f"http://{address}", api_key="k")
            calls = [asyncio.create_task(complete(speko)) for _ in range(3)]
            await asyncio.wait(calls, timeout=0.01)
            over = await cancel_closing(speko.aclose, turns)
            await asyncio.wait(calls, timeout=SOON_S)
            assert all(each.done() for each in calls), f"a call goes on after {turns} turns"
            if over:
                break


@pytest.mark.parametrize("place", ["complete", "realtime"])
async def test_client_that_is_called_while_it_closes(gateway: LocalGateway, place: str) -> None:
    """The call fails, or ends before the client is closed. Its connection does not stay open."""
    gateway.realtime.always(RealtimeScript())
    for turns in range(20):
        gateway.complete.always(held := Held("text/event-stream"))
        speko = make_client(gateway)
        under_way = asyncio.create_task(complete(speko))
        await held.settled()
        gateway.complete.always(Reply("Hi."))
        closing = asyncio.create_task(speko.aclose())
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait([asyncio.create_task(call(speko, place)), closing], timeout=SOON_S)
        await asyncio.wait([under_way], timeout=SOON_S)
        await gateway.idle(within_s=SOON_S)


async def call(speko: Speko, place: str) -> None:
    """Make a call that may fail."""
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "complete": lambda: complete(speko),
        "realtime": lambda: speko.realtime.connect(provider="xai", model=MODELS["xai"]),
    }
    await asyncio.gather(calls[place](), return_exceptions=True)


@pytest.fixture
def own_client(gateway: LocalGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let parts make a client of their own."""
    monkeypatch.setenv("SPEKO_API_KEY", gateway.api_key)
    monkeypatch.setenv("SPEKO_BASE_URL", gateway.base_url)


@pytest.mark.usefixtures("own_client")
async def test_voice_that_speaks(gateway: LocalGateway) -> None:
    for turns in TURNS:
        gateway.synthesize.always(held := Held("audio/pcm;rate=24000"))
        voice = SpekoTTS(intent={"language": "en"})
        streams = [voice.synthesize("Hello there.") for _ in range(3)]
        await held.settled()
        over = await cancel_closing(voice.aclose, turns)
        await gateway.idle(within_s=SOON_S)
        del streams
        if over:
            break


@pytest.mark.usefixtures("own_client")
async def test_components_that_speak(gateway: LocalGateway) -> None:
    for turns in TURNS:
        gateway.synthesize.always(held := Held("audio/pcm;rate=24000"))
        components = create_components(vad=LoudnessVAD(), intent={"language": "en"})
        components.llm.prewarm()
        stream = components.tts.wrapped_tts.synthesize("Hello there.")
        await held.settled()
        over = await cancel_closing(components.aclose, turns)
        await gateway.idle(within_s=SOON_S)
        del stream
        if over:
            break


@pytest.mark.usefixtures("own_client")
async def test_model_that_prewarms(gateway: LocalGateway) -> None:
    for turns in TURNS:
        model = SpekoLLM(intent={"language": "en"})
        model.prewarm()
        await gateway._changes.until(lambda: gateway.prewarmed > 0)
        over = await cancel_closing(model.aclose, turns)
        await gateway.idle(within_s=SOON_S)
        if over:
            break


@pytest.mark.usefixtures("own_client")
async def test_voice_model_that_talks(gateway: LocalGateway) -> None:
    gateway.realtime.always(RealtimeScript())
    for turns in TURNS:
        model = SpekoRealtimeModel(provider="xai", model=MODELS["xai"])
        sessions: list[llm.RealtimeSession[Any]] = [model.session() for _ in range(2)]
        for session in sessions:
            await session.update_instructions("Be brief.")
        await gateway.realtime.connected(count=2 * turns)
        over = await cancel_closing(model.aclose, turns)
        await gateway.idle(within_s=SOON_S)
        if over:
            break
