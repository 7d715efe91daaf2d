"""Calls that are cancelled at any moment, and the checks after each of them."""

from __future__ import annotations

import asyncio
import gc
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias

import httpx
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import Speko
from tests.helpers import client_calls
from tests.helpers.llm_calls import make_llm
from tests.helpers.stt_calls import SPEECH, make_stt
from tests.helpers.support import NO_RETRY, conversation, errors_of
from tests.helpers.tools_calls import make_agents_llm
from tests.helpers.tts_calls import make_tts

SOON_S = 5.0
"""Far more than a cancelled call needs on a busy machine."""

FEW_TURNS = 24
"""Most turns of the loop from a cancellation to the end of the call: a handful for the request's
task, and for those of LiveKit's stream."""

EVERY_TURN = 100
"""How many turns are tried one by one; later ones are tried further and further apart."""

# Making one takes longer than all of a call.
_TLS = ssl.create_default_context()


class Watch:
    """The options of one call, and the error events of the adapter that makes it."""

    def __init__(self, conn_options: APIConnectOptions = NO_RETRY) -> None:
        """Watch a call that is made with these options."""
        self.conn_options = conn_options
        # As they come.
        self.errors: list[Any] = []
        # Set with the first of them.
        self.failed = asyncio.Event()

    def adapter(self, made: Any) -> Any:
        """Watch this adapter, and return it."""
        self.errors = errors_of(made)
        made.on("error", lambda _: self.failed.set())
        return made


Call: TypeAlias = Callable[[Speko, Watch], Coroutine[Any, Any, None]]


async def transcribe(speko: Speko, watch: Watch) -> None:
    await client_calls.transcribe(speko)


async def complete(speko: Speko, watch: Watch) -> None:
    await client_calls.complete(speko)


async def synthesize(speko: Speko, watch: Watch) -> None:
    await client_calls.synthesize(speko)


async def list_tools(speko: Speko, watch: Watch) -> None:
    await speko.agents.tools.list_chat_tools("agent-1")


async def recognize(speko: Speko, watch: Watch) -> None:
    await watch.adapter(make_stt(speko)).recognize(SPEECH, conn_options=watch.conn_options)


async def chat(speko: Speko, watch: Watch) -> None:
    model = watch.adapter(make_llm(speko))
    async with model.chat(chat_ctx=conversation(), conn_options=watch.conn_options) as chunks:
        async for _ in chunks:
            pass


async def chat_with_registered_tools(speko: Speko, watch: Watch) -> None:
    model = watch.adapter(make_agents_llm(speko))
    try:
        async with model.chat(chat_ctx=conversation(), conn_options=watch.conn_options) as chunks:
            async for _ in chunks:
                pass
    finally:
        await model.aclose()


async def speak(speko: Speko, watch: Watch) -> None:
    voice = watch.adapter(make_tts(speko, convert_audio=True))
    async with voice.synthesize("Hello.", conn_options=watch.conn_options) as audio:
        async for _ in audio:
            pass


def later_and_later() -> Iterator[int]:
    """Numbers of turns of the loop: each of the first ones, then further and further apart.

    A call that waits for a thread or a clock takes thousands of turns in which nothing happens.
    """
    turns = 0
    while True:
        yield turns
        turns += max(1, turns - EVERY_TURN)


@asynccontextmanager
async def new_client(base_url: str, **options: Any) -> AsyncIterator[Speko]:
    """A client without a connection yet, which may have one at a time."""
    limits = httpx.Limits(max_connections=1)
    settings = {"verify": _TLS, "trust_env": False, "limits": limits, **options}
    async with (
        httpx.AsyncClient(**settings) as http_client,
        Speko(base_url=base_url, api_key="local-gateway-key", http_client=http_client) as speko,
    ):
        yield speko


@contextmanager
def nothing_reported() -> Iterator[None]:
    """Fail when the loop reports an error that no task retrieved."""
    loop = asyncio.get_running_loop()
    reports: list[str] = []
    loop.set_exception_handler(lambda _, context: reports.append(str(context)))
    gc.freeze()  # the collection below looks only at what is made from here on
    try:
        yield
        gc.collect()  # a task reports its unread error when it is deleted
    finally:
        gc.unfreeze()
        loop.set_exception_handler(None)
    assert reports == [], reports


async def cancel_after(
    turns: int,
    speko: Speko,
    call: Call,
    *,
    every_turn: bool = False,
    fails: bool = False,
    at_once: bool = True,
) -> bool:
    """Cancel a call after so many turns of the loop; return whether it was over before that.

    Args:
        turns: How many.
        speko: The client.
        call: The call.
        every_turn: Whether to cancel it again in every turn of its clean-up.
        fails: Whether it fails by itself, perhaps before the cancellation.
        at_once: Whether it must end within a few turns, which a call with a thread does not.
    """
    watch, before = Watch(), client_tasks()
    task = asyncio.create_task(call(speko, watch))
    for _ in range(turns):
        await asyncio.sleep(0)
    if task.done():
        assert (task.exception() is not None) == fails, task.exception()
        return True
    taken = await cancel(task, every_turn=every_turn)
    assert taken <= FEW_TURNS or not at_once, f"it took {taken} turns of the loop to end"
    assert len(watch.errors) <= fails, watch.errors
    await assert_no_task_left(before)
    return False


async def cancel(task: asyncio.Task[Any], *, every_turn: bool = False) -> int:
    """Cancel a call; return how many turns of the loop passed until it ended as cancelled."""
    loop = asyncio.get_running_loop()
    turns, until = 0, loop.time() + SOON_S
    task.cancel()
    while not task.done():
        assert loop.time() < until, f"the cancelled call still runs after {turns} turns of the loop"
        turns += 1
        await asyncio.sleep(0)
        if every_turn:
            task.cancel()
    assert task.cancelled(), task.exception()
    return turns


def client_tasks() -> set[asyncio.Task[Any]]:
    """Every task but this one and the gateway's, which has one for each connection."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    return {task for task in tasks if "RequestHandler" not in str(task.get_coro())}


async def assert_no_task_left(before: set[asyncio.Task[Any]]) -> None:
    """Wait a while until there is no task but those `before`."""
    if left := client_tasks() - before:
        await asyncio.wait(left, timeout=SOON_S)
    assert not (left := client_tasks() - before), f"tasks left: {left}"


async def assert_usable(speko: Speko, call: Call) -> None:
    """Make a call with a client of one connection: it hangs if that connection was lost."""
    await asyncio.wait_for(call(speko, Watch()), SOON_S)
