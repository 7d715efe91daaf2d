"""A spoken turn over a bad line: recognition, model and synthesis over HTTP, in a session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from livekit.agents import vad
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko.testing import Answer, GatewayRequest, Reply, Speech, Transcript
from tests.bad_lines.rows import NOTHING, BadLine, is_expected
from tests.bad_lines.toxiproxy import Line, Toxiproxy
from tests.faults.rows import ALL, shown
from tests.faults.table import Seen
from tests.helpers.session_calls import Call, calling
from tests.helpers.session_line import spoken

QUESTION = "Can I have a table for two at eight?"
SENTENCES = ("I have booked a table for two.", "It will be ready at eight tonight.")
AUDIO_S = 0.2
BEFORE_THE_CUT = "its first words"


class Turns:
    """The service of a call, and the line that turns bad at a place of it.

    Attributes:
        failures: The errors of the requests, as the table shows them.
    """

    def __init__(self, row: BadLine, line: Line) -> None:
        self.failures: list[str] = []
        self._row, self._line = row, line
        # Routes that were requested.
        self._seen: set[str] = set()
        # Tasks that mend the line.
        self._mending: set[asyncio.Task[None]] = set()

    def serve(self, call: Call) -> None:
        """Answer the requests of a call, and mend the line when the first of them fails."""
        for name in ("transcribe", "complete", "synthesize"):
            getattr(call.gateway, name).use(self._answer)
        adapters: list[Any] = [call.session.stt, call.session.llm, call.session.tts]
        for adapter in adapters:
            wrapped = getattr(adapter, "wrapped_stt", getattr(adapter, "wrapped_tts", adapter))
            wrapped.on("error", self._note)

    async def _answer(self, request: GatewayRequest, /) -> Answer:
        if request.route not in self._seen:
            self._seen.add(str(request.route))
            await self._row.begin(self._line, str(request.route))
        if request.route == "transcribe":
            words = QUESTION.split()
            return Transcript(QUESTION, interim=[" ".join(words[:n]) for n in range(1, len(words))])
        if request.route == "complete":
            return Reply(" ".join(SENTENCES))
        return Speech(spoken(request.json["text"], AUDIO_S), chunk_bytes=1_501)

    def _note(self, event: Any) -> None:
        self.failures.append(shown(event.error))
        if len(self.failures) == 1:
            task = asyncio.create_task(self._line.mend())
            self._mending.add(task)
            task.add_done_callback(self._mending.discard)


async def see(row: BadLine, toxiproxy: Toxiproxy, voice_detector: vad.VAD) -> Seen:
    """Hold two turns, one of them over the bad line; return the outcome of both."""
    lines: list[Line] = []

    @asynccontextmanager
    async def through(base_url: str) -> AsyncIterator[str]:
        async with toxiproxy.line(base_url) as line:
            await row.prepare(line)
            lines.append(line)
            yield line.base_url

    # A line that fails once may fail again until it is mended.
    options = APIConnectOptions(max_retry=3, retry_interval=0.0, timeout=row.patience_s)
    async with calling(voice_detector, conn_options=options, through=through) as call:
        turns = Turns(row, lines[0])
        turns.serve(call)
        started = time.perf_counter()
        call.caller.speak()
        await call.turn_over(row.fault)
        seconds = time.perf_counter() - started
        heard = _heard(call)
        # Nothing is lost without an error.
        assert call.final_errors == (row.lost != NOTHING), row.fault
        await row.begin(lines[0], "between")
        await lines[0].mend()
        # The line is good again: nothing of the first turn comes later, and nothing is missing.
        call.caller.speak()
        await call.turn_over(row.fault)
        assert _heard(call) == ALL
        assert [role for role, _ in call.history] == ["user", "assistant"] * 2
    return Seen(
        stage="bad_http",
        fault=row.fault,
        passes=False,
        error=" / ".join(sorted(set(turns.failures))),
        retries=len(turns.failures),
        requests=len(call.gateway.requests),
        seconds=seconds,
        heard=heard,
        note=row.cost,
    )


def _heard(call: Call) -> str:
    """Compare a turn's last reply with what was said in it."""
    (_, asked), (_, replied) = call.history[-2:]
    texts = [each.json["text"] for each in call.gateway.requests_to("synthesize")]
    # A sentence whose audio was cut is requested again.
    told = [text for text, before in zip(texts, ["", *texts], strict=False) if text != before]
    pcm, reply = call.ear.take(), " ".join(SENTENCES)
    if asked == QUESTION and replied == reply and pcm == _audio(SENTENCES):
        return ALL
    if asked == QUESTION and reply.startswith(replied) and pcm == _audio(told):
        return BEFORE_THE_CUT
    return f"{asked!r}, {replied!r}, {len(pcm)} bytes"


def _audio(texts: Sequence[str]) -> bytes:
    return b"".join(spoken(each, AUDIO_S) for each in texts)


async def check(row: BadLine, toxiproxy: Toxiproxy, voice_detector: vad.VAD) -> Seen:
    """Check a row, and return its outcome."""
    seen = await see(row, toxiproxy, voice_detector)
    assert seen.heard == (ALL if row.lost == NOTHING else BEFORE_THE_CUT), row.fault
    assert is_expected(seen.error, row), seen
    assert seen.seconds >= row.at_least_s
    return seen
