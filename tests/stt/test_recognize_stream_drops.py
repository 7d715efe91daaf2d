"""A stream after a thousand drops is as large as after fifty."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc

import psutil  # type: ignore[import-untyped]
import pytest
from livekit.agents.stt import SpeechEventType as Kind

from tests.helpers.stt_server import Behaviour, Recogniser, SttServer, pause, word
from tests.stt.test_recognize_stream import push, recognizing, until

DROPS, FEW = 1_000, 50
GROWTH_BYTES = 300_000


def size() -> tuple[int, int]:
    """The tasks and the sockets of this process."""
    return len(asyncio.all_tasks()), len(psutil.Process().net_connections())


async def test_after_1000_drops_nothing_has_grown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "livekit.plugins.speko")  # pytest keeps what is logged
    drops = Recogniser(Behaviour(drop_after_finals=1, drop_code=1011))
    async with SttServer(default=drops) as server, recognizing(server) as recognizer:
        async with recognizer.stream() as stream:
            for drop in range(1, DROPS + 1):
                push(stream, word(drop) + pause())
                stream.flush()
                final = await until(stream, Kind.FINAL_TRANSCRIPT)
                assert final.alternatives[0].text == str(drop)
                heard = await server.connected(drop)
                await heard.gone.wait()
                heard.audio.clear()
                if drop == FEW:
                    await server.connected(drop + 1)
                    gc.collect()
                    tracemalloc.start()
                    few = size()
                    before, _ = tracemalloc.get_traced_memory()
            await server.connected(DROPS + 1)
            server.connections.clear()
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            tasks, sockets = size()
    assert tasks <= few[0] + 1
    assert sockets <= few[1] + 2
    assert after - before < GROWTH_BYTES
