"""Calls, and the texts that they leave: logs, errors, metrics, spans."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias

from livekit.agents import telemetry
from livekit.agents.types import APIConnectOptions
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from livekit_plugins_speko import Intent, SpekoLLM, SpekoSTT, SpekoTTS
from livekit_plugins_speko.testing import LocalGateway
from tests.helpers.raw_server import RawServer
from tests.helpers.support import NO_RETRY, conversation, frame, tone

VARIABLES = "variables"  # prefix of the places that only error trackers see
# For a service that says nothing.
SOON = APIConnectOptions(max_retry=0, timeout=0.3)
INTENT = Intent("en")


class Evidence(logging.Handler):
    """The texts that a run leaves where others may read them.

    Attributes:
        texts: Where each was found, and the text.
        records: The log records.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[tuple[str, str]] = []
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        where = f"log {record.name}"
        self.note(where, logging.Formatter().format(record), *map(repr, vars(record).values()))
        if record.exc_info and record.exc_info[1] is not None:
            self.error(where, record.exc_info[1])

    def note(self, where: str, *texts: str) -> None:
        self.texts += [(where, text) for text in texts]

    def error(self, where: str, error: BaseException) -> None:
        """Note an error, its causes, their tracebacks, and the variables in their frames."""
        for link in chain(error):
            self.note(where, str(link), repr(link), repr(link.args), repr(vars(link)))
        self.note(where, "".join(traceback.format_exception(error)))
        tracked = traceback.TracebackException.from_exception(error, capture_locals=True)
        self.note(f"{VARIABLES} {where}", "".join(tracked.format()))

    def places_of(self, mark: str, *, but_for: str = "nowhere") -> set[str]:
        """The places that show `mark`, except those whose name begins with `but_for`."""
        return {
            f"{where}: {shown(text, mark)}"
            for where, text in self.texts
            if mark in text and not where.startswith(but_for)
        }


def shown(text: str, mark: str) -> str:
    """The surroundings of `mark`."""
    at = text.index(mark)
    return text[max(0, at - 80) : at + 40]


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error, its causes and its contexts."""
    left, seen = [error], set[int]()
    while left:
        link = left.pop()
        if id(link) not in seen:
            seen.add(id(link))
            yield link
            left += [each for each in (link.__cause__, link.__context__) if each is not None]


@asynccontextmanager
async def collecting() -> AsyncIterator[Evidence]:
    """Collect from every logger at debug level, asyncio's debug mode, and LiveKit's spans."""
    evidence, spans = Evidence(), InMemorySpanExporter()
    loop = asyncio.get_running_loop()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    telemetry.set_tracer_provider(provider)
    slow_s, loop.slow_callback_duration = loop.slow_callback_duration, 0.0
    loop.set_debug(True)
    try:
        with loudest(evidence):
            yield evidence
        evidence.note("span", *(span.to_json() for span in spans.get_finished_spans()))
    finally:
        loop.set_debug(False)
        loop.slow_callback_duration = slow_s
        telemetry.set_tracer_provider(trace.get_tracer_provider())


@contextmanager
def loudest(handler: logging.Handler) -> Iterator[None]:
    """Pass every record of every logger to `handler`."""
    named = [each for each in logging.root.manager.loggerDict.values() if hasattr(each, "level")]
    loggers = [logging.root, *(each for each in named if isinstance(each, logging.Logger))]
    before = [(each, each.level, each.propagate, each.disabled) for each in loggers]
    for each in loggers:
        each.setLevel(logging.DEBUG)
        each.propagate, each.disabled = True, False
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
        for each, level, propagate, disabled in before:
            each.setLevel(level)
            each.propagate, each.disabled = propagate, disabled


async def caught(call: Awaitable[Any]) -> BaseException | None:
    """Return what a call raises. The traceback includes this frame, which holds no secret."""
    try:
        await call
    except (Exception, asyncio.CancelledError) as error:
        return error
    return None


async def hear(speko: Any, evidence: Evidence, conn_options: APIConnectOptions = NO_RETRY) -> None:
    recognizer = SpekoSTT(speko=speko, intent=INTENT)
    watch(recognizer, evidence)
    await recognizer.recognize(frame(tone(rate=16_000), rate=16_000), conn_options=conn_options)


async def reply(
    speko: Any,
    evidence: Evidence,
    conn_options: APIConnectOptions = NO_RETRY,
    *,
    chat_ctx: Any = None,
    **llm_options: Any,
) -> None:
    model = SpekoLLM(speko=speko, intent=INTENT, **llm_options)
    watch(model, evidence)
    stream = model.chat(chat_ctx=chat_ctx or conversation(), conn_options=conn_options)
    evidence.note("object", repr(stream), str(stream))
    try:
        async with stream:
            async for chunk in stream:
                assert chunk
    finally:
        await model.aclose()


async def speak(
    speko: Any,
    evidence: Evidence,
    conn_options: APIConnectOptions = NO_RETRY,
    *,
    text: str = "Hello.",
) -> None:
    voice = SpekoTTS(speko=speko, intent=INTENT)
    watch(voice, evidence)
    stream = voice.synthesize(text, conn_options=conn_options)
    evidence.note("object", repr(stream), str(stream))
    async with stream:
        async for audio in stream:
            assert audio.frame


Stage: TypeAlias = Callable[..., Awaitable[None]]
STAGES: tuple[Stage, ...] = (hear, reply, speak)


def watch(adapter: Any, evidence: Evidence) -> None:
    """Note an adapter's repr, metrics and error events."""
    evidence.note("object", repr(adapter), str(adapter))
    adapter.on("metrics_collected", lambda event: evidence.note("metrics", repr(event)))
    adapter.on("error", lambda event: evidence.error("error event", event.error))
    adapter.on("error", lambda event: evidence.note("error event", repr(event)))


async def fail(
    evidence: Evidence,
    server: RawServer | LocalGateway,
    stage: Stage,
    make_client: Any,
    **options: Any,
) -> None:
    """Make one call of a stage; note the client, and the error if there is one."""
    async with make_client(base_url=server.base_url) as speko:
        evidence.note("object", repr(speko), repr(speko.agents), repr(speko.agents.tools))
        error = await caught(stage(speko, evidence, **options))
    if error is not None:
        evidence.error("error", error)
