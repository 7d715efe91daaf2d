"""The connection that is opened before the first turn."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import spekoai
from livekit.agents import stt, tts, vad

from livekit_plugins_speko import Speko, create_speko_components
from livekit_plugins_speko.testing import LocalGateway, Reply
from livekit_plugins_speko.testing._gateway.waiting import within
from tests.cancel.servers import black_hole
from tests.helpers.client_calls import synthesize
from tests.helpers.llm_calls import make_llm
from tests.helpers.raw_server import RawServer, answer
from tests.helpers.session_calls import calling
from tests.helpers.stt_calls import make_stt
from tests.helpers.subprocesses import run_python
from tests.helpers.tts_calls import make_tts, speak, speech

MAKERS = pytest.mark.parametrize("make", [make_stt, make_llm, make_tts], ids=["stt", "llm", "tts"])


async def prewarmed(gateway: LocalGateway, count: int = 1) -> None:
    """Wait until so many clients have prewarmed and no prewarm is running."""
    await within(gateway._changes.until(lambda: gateway.prewarmed >= count), 10, "prewarming")
    await gateway.idle(connections=count)


async def warmed(speko: Speko) -> None:
    """Wait until the client's prewarm is done."""
    assert speko._transport._prewarming is not None
    await asyncio.wait_for(asyncio.wait([speko._transport._prewarming]), 10)


@MAKERS
async def test_first_call_finds_an_open_connection(
    gateway: LocalGateway, speko: Speko, make: Any
) -> None:
    make(speko).prewarm()
    await prewarmed(gateway)
    await warmed(speko)
    gateway.synthesize.script(speech())
    voice = make_tts(speko)
    routes: list[Any] = []
    voice.on("route", routes.append)
    await speak(voice)
    assert [route.connection_reused for route in routes] == [True]
    assert gateway.open_connections == 1


async def test_client_is_prewarmed_once_for_all_adapters(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    components = create_speko_components(speko=speko, vad=voice_detector, intent={"language": "en"})
    for part in (*components, *components):
        part.prewarm()
    await warmed(speko)
    gateway.synthesize.script(speech())
    await synthesize(speko)
    assert gateway.prewarmed == 1
    await components.aclose()


async def test_session_prewarms_as_it_starts(voice_detector: vad.VAD) -> None:
    async with calling(voice_detector) as call:
        await prewarmed(call.gateway)
        await call.take_a_turn("silence")
        assert call.gateway.prewarmed == 1


async def test_livekits_adapters_forward_prewarm(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    stt.StreamAdapter(stt=make_stt(speko), vad=voice_detector).prewarm()
    tts.StreamAdapter(tts=make_tts(speko)).prewarm()
    await warmed(speko)
    assert gateway.prewarmed == 1


async def test_prewarm_sends_no_key() -> None:
    async with RawServer(answer(status=204)) as server:
        async with Speko(api_key="sk-secret", base_url=server.base_url) as speko:
            speko.prewarm()
            await warmed(speko)
    (head,) = server.heads
    assert head.startswith("HEAD / HTTP/1.1\r\n")
    assert "sk-secret" not in head and "authorization" not in head.lower()


@pytest.mark.parametrize("status", [200, 301, 401, 404, 405, 429, 503])
async def test_any_response_to_prewarm_is_accepted(status: int) -> None:
    async with RawServer(answer(status=status)) as server:
        async with Speko(api_key="k", base_url=server.base_url) as speko:
            speko.prewarm()
            await warmed(speko)
            assert speko._transport._prewarming is not None
            assert speko._transport._prewarming.exception() is None


async def test_unreachable_service_is_no_error_of_prewarm(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="livekit.plugins.speko")
    async with LocalGateway() as gone:
        base_url = gone.base_url
    async with Speko(api_key="k", base_url=base_url) as speko:
        speko.prewarm()
        await warmed(speko)
    (record,) = (each for each in caplog.records if each.name == "livekit.plugins.speko")
    assert (record.levelno, record.getMessage()) == (logging.DEBUG, "prewarming failed")


async def test_client_may_be_closed_while_it_prewarms() -> None:
    with black_hole() as address:
        async with Speko(api_key="k", base_url=f"http://{address}") as speko:
            speko.prewarm()
            await asyncio.sleep(0)


async def test_closed_client_does_not_prewarm(gateway: LocalGateway) -> None:
    speko = Speko(api_key=gateway.api_key, base_url=gateway.base_url)
    await speko.aclose()
    speko.prewarm()
    assert speko._transport._prewarming is None


def test_prewarm_does_nothing_outside_an_event_loop() -> None:
    speko = Speko(api_key="k", base_url="http://127.0.0.1:1")
    speko.prewarm()
    make_stt(speko).prewarm()
    assert speko._transport._prewarming is None


@MAKERS
async def test_prewarm_ignores_other_clients(gateway: LocalGateway, make: Any) -> None:
    async with spekoai.AsyncSpeko(base_url=gateway.base_url, api_key=gateway.api_key) as client:
        make(client).prewarm()
    assert gateway.prewarmed == 0


FIRST_CALL = """
import asyncio, os, sys
from livekit_plugins_speko import Speko

async def main():
    before = set(sys.modules)
    async with Speko() as speko:
        said = [{"role": "user", "content": "Hi"}]
        await speko.complete(messages=said, intent={"language": "en"})
    print(sorted(set(sys.modules) - before))

asyncio.run(main())
"""


async def test_first_call_imports_nothing(gateway: LocalGateway) -> None:
    """An import during a call delays every call of the process."""
    gateway.complete.script(Reply("Hi."))
    environment = {"SPEKO_API_KEY": gateway.api_key, "SPEKO_BASE_URL": gateway.base_url}
    done = await run_python("-c", FIRST_CALL, environment=environment)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
