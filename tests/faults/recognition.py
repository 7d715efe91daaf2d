"""Faults of a recognition that streams: a connection that fails, and the recovery."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from livekit.agents import APIConnectOptions, APIError, APIStatusError
from livekit.agents.stt import RecognizeStream, SpeechEventType

from livekit_plugins_speko import Speko, SpekoSTT
from livekit_plugins_speko.api.reconnects import Bounds
from livekit_plugins_speko.testing import (
    Answer,
    CloseSocket,
    DropConnection,
    ErrorEvent,
    Final,
    Hang,
    LocalGateway,
    RawFrame,
    RecognitionConnection,
    Refusal,
    ServerEnd,
    SocketStep,
    StreamedTranscript,
)
from livekit_plugins_speko.testing._gateway.recognition import RecognitionPiece
from livekit_plugins_speko.testing._gateway.steps import play_step
from tests.faults.rows import ALL, NOTHING, shown
from tests.faults.table import Seen
from tests.helpers.stt_server import Ears, frames_of, pause, word
from tests.helpers.support import errors_of, frame

WORDS = (1, 2, 3, 4)
SPOKEN = b"".join(word(number) + pause() for number in WORDS)
SAID = " ".join(map(str, WORDS))
IN_A_WORD = len(word(1) + pause() + word(2)) - 1_000
BETWEEN_WORDS = len(word(1) + pause())

PATIENCE_S = 1.5
HANG_S = 15.0
QUICK = Bounds(backoff=0.01, most_backoff=0.05, end_wait=0.4, error_grace=0.1)

Fault: TypeAlias = SocketStep | RecognitionPiece


@dataclass(frozen=True)
class Recogniser:
    """An engine that reads words in the samples; with a fault at one place.

    Attributes:
        fault: What it does there; None for nothing.
        at: The place: so many bytes of audio, `flush` or `end`.
        after: True if the fault follows what the place calls for, as a final.
        nth: Which flush it is.
        finals: False for a provider that never finalises.
    """

    fault: Fault | None = None
    at: int | str = 0
    after: bool = False
    nth: int = 1
    finals: bool = True

    async def __call__(self, connection: RecognitionConnection) -> None:
        ears, flushes = Ears(), 0
        if self.at == 0:
            await self._fail(connection)
        async for received in connection.incoming():
            size = received.offset + len(received.pcm)
            if received.kind == "audio":
                ears.feed(received.pcm)
                if self.at != 0 and isinstance(self.at, int) and received.offset < self.at <= size:
                    await self._fail(connection)
            else:
                flushes += received.kind == "flush"
                fails = received.kind == self.at and flushes == self.nth
                await self._finalise(connection, ears, fails=fails)
            if received.kind == "end":
                return

    async def _finalise(
        self, connection: RecognitionConnection, ears: Ears, *, fails: bool
    ) -> None:
        if fails and not self.after:
            await self._fail(connection)
        words, ears.words = ears.words, []
        if words and self.finals:
            await connection.send(Final(" ".join(str(number) for number, _, _ in words)))
        if fails and self.after:
            await self._fail(connection)

    async def _fail(self, connection: RecognitionConnection) -> None:
        if self.fault is not None:
            await play_step(connection, self.fault)


HEALTHY = StreamedTranscript(Recogniser())


def fails(fault: Fault, at: int | str = 0, *, after: bool = False, nth: int = 1) -> Answer:
    return StreamedTranscript(Recogniser(fault, at, after, nth))


@dataclass(frozen=True, kw_only=True)
class StreamRow:
    """One fault of a connection, and the result expected.

    Attributes:
        fault: Its name in the table.
        first: The connections before the healthy ones.
        lasts: True if there is never a healthy one.
        error: The error that ends the stream; empty when none does.
        heard: The words that are recognised.
        connections: How many the gateway sees.
        reports: How many recoverable errors are reported.
        within_s: Longest time that it may take, in seconds.
        patience_s: LiveKit's ``conn_options.timeout``.
    """

    fault: str
    first: Sequence[Answer]
    lasts: bool = False
    error: str = ""
    heard: str = ALL
    connections: int = 2
    reports: int = 0
    within_s: float = HANG_S
    patience_s: float = PATIENCE_S


def dropped(place: str, at: int | str, *, after: bool = False, nth: int = 1) -> list[StreamRow]:
    """Rows of a connection that is lost at one place."""
    ends: list[tuple[str, Fault]] = [
        ("reset", DropConnection()),
        ("closed with 1000", CloseSocket(1000)),
        ("closed with 1001", CloseSocket(1001, "going away")),
        ("closed with 1011", CloseSocket(1011, "internal error")),
        ("server end", ServerEnd()),
    ]
    return [
        StreamRow(fault=f"{name} {place}", first=[fails(fault, at, after=after, nth=nth)])
        for name, fault in ends
        # The second flush is followed by the client's `end`, to which it would be the response.
        if nth == 1 or not isinstance(fault, ServerEnd)
    ]


def permanent(code: int, status: int) -> StreamRow:
    return StreamRow(
        fault=f"closed with {code}",
        first=[fails(CloseSocket(code, "not like this"))],
        lasts=True,
        error=f"APIStatusError {status}",
        heard=NOTHING,
        connections=1,
    )


def refused(status: int, code: str, *, permanently: bool) -> StreamRow:
    row = StreamRow(fault=f"handshake {status}", first=[Refusal(status, "no", code)])
    if not permanently:
        return row
    error = f"APIStatusError {status}"
    return replace(row, lasts=True, error=error, heard=NOTHING, connections=1)


ROWS = [
    StreamRow(fault="healthy", first=[], connections=1),
    refused(401, "AUTH_ERROR", permanently=True),
    refused(402, "INSUFFICIENT_CREDITS", permanently=True),
    refused(403, "FORBIDDEN", permanently=True),
    refused(404, "NOT_FOUND", permanently=True),
    refused(429, "RATE_LIMITED", permanently=False),
    refused(503, "UNAVAILABLE", permanently=False),
    StreamRow(
        fault="handshake 503, for ever",
        first=[Refusal(503, "no", "UNAVAILABLE")],
        lasts=True,
        error="APIConnectionError",
        heard=NOTHING,
        connections=-1,
    ),
    StreamRow(
        fault="ready never comes",
        first=[StreamedTranscript(Recogniser(), route=None)],
        connections=1,
    ),
    StreamRow(fault="silence after the upgrade", first=[fails(Hang())], patience_s=10.0),
    StreamRow(fault="silence in a word", first=[fails(Hang(), IN_A_WORD)], patience_s=10.0),
    *dropped("at the start", 0),
    *dropped("in a word", IN_A_WORD),
    *dropped("between words", BETWEEN_WORDS),
    *dropped("instead of a final", "flush"),
    *dropped("after a final", "flush", after=True),
    *dropped("instead of the last final", "flush", nth=2),
    StreamRow(
        fault="reset after the last final",
        first=[fails(DropConnection(), "end", nth=2)],
        connections=-1,
    ),
    permanent(1008, 403),
    permanent(4400, 400),
    permanent(4401, 401),
    StreamRow(
        fault="an error frame, and no more",
        first=[StreamedTranscript(Recogniser(ErrorEvent("no model", "FAILED"), 1, finals=False))],
        connections=2,
        reports=1,
    ),
    StreamRow(
        fault="an error frame, and it works on",
        first=[fails(ErrorEvent("failing over", "FAILOVER"), IN_A_WORD)],
        connections=1,
        reports=1,
    ),
    StreamRow(fault="garbage", first=[fails(RawFrame("no json"), IN_A_WORD)], connections=-1),
    StreamRow(fault="an array", first=[fails(RawFrame("[1]"), IN_A_WORD)], connections=-1),
    StreamRow(fault="a binary frame", first=[fails(RawFrame(b"\0\1"), IN_A_WORD)], connections=-1),
    StreamRow(
        fault="an unknown frame",
        first=[fails(RawFrame('{"type": "speech_started"}'), IN_A_WORD)],
        connections=1,
    ),
    StreamRow(
        fault="a frame of 1 MB",
        first=[fails(RawFrame('{"type": "x", "text": "' + "x" * 1_000_000 + '"}'), IN_A_WORD)],
        connections=-1,
    ),
    StreamRow(
        fault="no response to end",
        first=[StreamedTranscript(Recogniser(), ends=False)],
        connections=1,
    ),
]


async def see(row: StreamRow) -> Seen:
    """Stream the words under the fault of a row; check it, and return its outcome."""
    async with LocalGateway() as gateway:
        gateway.transcribe_stream.always(row.first[-1] if row.lasts else HEALTHY)
        if not row.lasts:
            gateway.transcribe_stream.script(*row.first)
        async with Speko(base_url=gateway.base_url, api_key=gateway.api_key) as speko:
            recognizer = SpekoSTT(speko=speko, intent={"language": "en"}, streaming=True)
            recognizer._bounds = QUICK
            errors = errors_of(recognizer)
            started = time.perf_counter()
            raised, texts = await asyncio.wait_for(stream_words(recognizer, row.patience_s), HANG_S)
            seconds = time.perf_counter() - started
        requests = gateway.requests_to("transcribe_stream")
    told = " ".join(texts)
    recoverable = [event for event in errors if event.recoverable]
    assert len(errors) - len(recoverable) == (raised is not None)
    return Seen(
        stage="transcribe_stream",
        fault=row.fault,
        passes=False,
        error="" if raised is None else _shown(raised),
        retries=len(recoverable),
        requests=len(requests),
        seconds=seconds,
        heard=ALL if told == SAID else told or NOTHING,
    )


async def stream_words(
    recognizer: SpekoSTT, patience_s: float, *, ends: bool = True
) -> tuple[APIError | None, list[str]]:
    """Stream the words; return the error that ended it, if one did, and the final transcripts.

    Args:
        recognizer: What understands them.
        patience_s: LiveKit's ``conn_options.timeout``.
        ends: True if the input ends with the last word, False if it goes on until that is
            understood.
    """
    heard = _Heard()
    conn_options = APIConnectOptions(max_retry=1, retry_interval=0.0, timeout=patience_s)
    async with recognizer.stream(conn_options=conn_options) as stream:
        speaking = asyncio.create_task(_speak(stream, heard, ends=ends))
        try:
            async for event in stream:
                if event.type == SpeechEventType.FINAL_TRANSCRIPT:
                    heard.add(event.alternatives[0].text)
        except APIError as error:
            return error, heard.texts
        finally:
            speaking.cancel()
            await asyncio.wait([speaking])
    return None, heard.texts


class _Heard:
    """Final transcripts.

    Attributes:
        texts: They, in order.
        any: Set with the first.
        all: Set with as many words as were said.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.any, self.all = asyncio.Event(), asyncio.Event()

    def add(self, text: str) -> None:
        self.texts.append(text)
        self.any.set()
        if len(" ".join(self.texts).split()) >= len(WORDS):
            self.all.set()


async def _speak(stream: RecognizeStream, heard: _Heard, *, ends: bool) -> None:
    """Say two utterances, the second after the first one's transcript."""
    half = len(SPOKEN) // 2
    for piece in frames_of(SPOKEN[:half]):
        stream.push_frame(frame(piece))
    stream.flush()
    await heard.any.wait()
    for piece in frames_of(SPOKEN[half:]):
        stream.push_frame(frame(piece))
    stream.flush()
    if not ends:
        await heard.all.wait()
    stream.end_input()


def _shown(error: APIError) -> str:
    """The class and status of an error, without its cause, which a WebSocket has in many forms."""
    return shown(error).split(",")[0] if isinstance(error, APIStatusError) else type(error).__name__


async def check(row: StreamRow) -> Seen:
    """Check a row, and return its outcome."""
    seen = await see(row)
    assert (seen.error, seen.heard) == (row.error, row.heard), row.fault
    assert seen.requests == row.connections or row.connections < 0, row.fault
    assert seen.retries == row.reports or row.reports < 0, row.fault
    assert seen.seconds < row.within_s
    return seen
