"""Recognition that streams over a bad line: the words of a stream, and of a whole session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from livekit.agents import vad

from livekit_plugins_speko import Speko, SpekoSTT
from livekit_plugins_speko.testing import (
    LocalGateway,
    SocketRoute,
    SocketStep,
    StreamedTranscript,
)
from livekit_plugins_speko.testing._gateway.connection import SocketConnection
from tests.bad_lines.rows import BadLine
from tests.bad_lines.toxiproxy import Line, Toxiproxy
from tests.faults.recognition import (
    BETWEEN_WORDS,
    HANG_S,
    HEALTHY,
    IN_A_WORD,
    QUICK,
    SAID,
    Recogniser,
    stream_words,
)
from tests.faults.rows import ALL
from tests.faults.table import Seen
from tests.helpers.eager_sessions import HESITATION, LEAD, MORE_WORDS, PAUSE, REST, WORDS
from tests.helpers.streaming_sessions import Stretches, streaming_calling
from tests.helpers.support import errors_of

# Places of a recognition: where it fails, and whether after what that calls for.
PLACES: dict[str, tuple[int | str, bool]] = {
    "start": ("nowhere", False),
    "in a word": (IN_A_WORD, False),
    "between words": (BETWEEN_WORDS, False),
    "before a final": ("flush", False),
    "after a final": ("flush", True),
}
TEXTS = Stretches(("Thank you.", "A story."))


@dataclass(frozen=True)
class Worsen(SocketStep):
    """The line turns bad here."""

    row: BadLine
    line: Line

    async def play(self, connection: SocketConnection) -> None:
        await self.row.begin(self.line, self.row.at)


async def mend_later(row: BadLine, route: SocketRoute[Any], line: Line) -> None:
    """Mend the line when its time is over, or when its first connection is closed."""
    await line.turned_bad.wait()
    if row.for_s is not None:
        await asyncio.sleep(row.for_s)
    else:
        connection = await route.connected(within_s=HANG_S)
        await connection.closed(within_s=HANG_S)
    await line.mend()


async def see(row: BadLine, toxiproxy: Toxiproxy) -> Seen:
    """Stream four words, in two utterances; return what was understood."""
    async with LocalGateway() as gateway, toxiproxy.line(gateway.base_url) as line:
        at, after = PLACES[row.at]
        worsens = StreamedTranscript(Recogniser(Worsen(row, line), at, after))
        gateway.transcribe_stream.use(_first(worsens, HEALTHY))
        await row.prepare(line)
        mending = asyncio.create_task(mend_later(row, gateway.transcribe_stream, line))
        async with Speko(base_url=line.base_url, api_key=gateway.api_key) as speko:
            recognizer = SpekoSTT(speko=speko, intent={"language": "en"}, streaming=True)
            recognizer._bounds = QUICK
            errors = errors_of(recognizer)
            started = time.perf_counter()
            words = stream_words(recognizer, row.patience_s, ends=False)
            raised, texts = await asyncio.wait_for(words, HANG_S)
            seconds = time.perf_counter() - started
        mending.cancel()
        await asyncio.wait([mending])
    return Seen(
        stage="bad_stream",
        fault=row.fault,
        passes=False,
        error=type(raised).__name__ if raised else "",
        retries=len(errors),
        requests=len(gateway.requests),
        seconds=seconds,
        heard=ALL if " ".join(texts) == SAID else " ".join(texts),
        note=row.cost,
    )


def _first(first: Any, then: Any) -> Any:
    """An engine that gives its first request one answer, and all others another."""
    answers = iter([first])

    async def engine(request: object) -> Any:
        return next(answers, then)

    return engine


async def see_session(row: BadLine, toxiproxy: Toxiproxy, voice_detector: vad.VAD) -> Seen:
    """Hold a turn whose caller hesitates, in real time; return what was understood."""
    lines: list[Line] = []

    @asynccontextmanager
    async def through(base_url: str) -> AsyncIterator[str]:
        async with toxiproxy.line(base_url) as line:
            await row.prepare(line)
            lines.append(line)
            yield line.base_url

    async with streaming_calling(voice_detector, TEXTS, through=through) as call:
        started = time.perf_counter()
        call.caller.say(LEAD, WORDS, HESITATION, MORE_WORDS, PAUSE, REST)
        await call.interims(1)
        await row.begin(lines[0], "in a word")
        await mend_later(row, call.gateway.transcribe_stream, lines[0])
        await call.turn_over(row.fault)
        seconds = time.perf_counter() - started
        call.assert_answered(" ".join(TEXTS.texts))
        assert row.at == "start" or len(call.gateway.requests_to("transcribe_stream")) > 1
    return Seen(
        stage="bad_stream",
        fault=row.fault,
        passes=False,
        error="",
        retries=0,
        requests=len(call.gateway.requests),
        seconds=seconds,
        heard=ALL,
        note=row.cost,
    )


async def check(row: BadLine, toxiproxy: Toxiproxy) -> Seen:
    """Check a row, and return its outcome: every word once, and no error."""
    seen = await see(row, toxiproxy)
    assert (seen.error, seen.retries, seen.heard) == ("", 0, ALL), seen
    assert row.at == "start" or seen.requests > 1
    assert seen.seconds >= row.at_least_s
    return seen
