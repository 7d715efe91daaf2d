"""One stream of recognition by hand: calls out of order, odd frames, and frames that repeat."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import cast

import pytest

from livekit_plugins_speko import Intent, SpekoApiError
from livekit_plugins_speko.api.recognition import Outcome, Recognition, StreamEvent, StreamOptions
from livekit_plugins_speko.api.recognition_connection import Connection
from livekit_plugins_speko.api.reconnects import Bounds
from livekit_plugins_speko.api.stt_messages import Failure, Transcript
from livekit_plugins_speko.api.unconfirmed_audio import UnconfirmedAudio
from livekit_plugins_speko.api.websocket import SocketLost, Sockets, WebSocket
from tests.helpers.stt_server import (
    KEY,
    Behaviour,
    Heard,
    Recogniser,
    SttServer,
    keep_silent,
    pause,
    says,
    word,
)

QUICK = Bounds(backoff=0.01, most_backoff=0.05, end_wait=1.0, quiet=0.05, error_grace=0.1)
FRENCH = StreamOptions(intent=Intent("fr"))


class Events:
    """A sink that keeps what it received."""

    def __init__(self) -> None:
        self.events: list[StreamEvent] = []
        self.outcomes: list[Outcome] = []
        self.sent_bytes = 0

    @property
    def finals(self) -> list[str]:
        """The texts of the finals that have one."""
        found = [each for each in self.events if isinstance(each, Transcript) and each.is_final]
        return [each.text for each in found if each.text]

    def on_event(self, event: StreamEvent) -> None:
        self.events.append(event)

    def on_sent(self, size: int) -> None:
        self.sent_bytes += size

    def on_attempt(self) -> None: ...

    def on_connected(self) -> None: ...

    def on_closed(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


class Run:
    """A stream of recognition to a server, and what came of it."""

    def __init__(self, server: SttServer) -> None:
        self.sink = Events()
        self.sockets = Sockets(api_key=KEY, base_url=server.base_url)
        options = StreamOptions(intent=Intent("en"))
        self.stream = Recognition(self.sockets, options, self.sink, bounds=QUICK)

    async def to_the_end(self) -> None:
        """Recognise until the input has ended, and close the client."""
        try:
            await self.stream.run()
        finally:
            await self.sockets.aclose()


async def test_calls_after_the_end_change_nothing() -> None:
    async with SttServer() as server:
        run = Run(server)
        run.stream.push(word(1) + pause())
        run.stream.flush()
        run.stream.end()
        run.stream.push(word(2))
        run.stream.flush()
        run.stream.end()
        await run.to_the_end()
        assert run.sink.finals == ["1"]
        assert run.sink.sent_bytes == len(word(1) + pause())
        run.stream.push(word(3))
        run.stream.renew(FRENCH)
        assert run.stream.audio.is_empty
        assert run.stream.options.intent == Intent("en")


async def test_options_that_change_before_the_connection_are_those_it_opens_with() -> None:
    async with SttServer() as server:
        run = Run(server)
        run.stream.renew(FRENCH)
        run.stream.push(word(1))
        run.stream.end()
        await run.to_the_end()
        (heard,) = server.connections
        assert heard.config["language"] == "fr"


async def test_stream_without_audio_ends_without_a_connection() -> None:
    async with SttServer() as server:
        run = Run(server)
        run.stream.push(b"")
        run.stream.flush()
        run.stream.end()
        await run.to_the_end()
        assert server.attempts == 0


async def test_second_problem_is_reported_and_the_first_is_the_reason_of_the_loss() -> None:
    problems = [
        json.dumps({"type": "error", "code": code, "message": f"{code} happened"})
        for code in ("SLOW", "SLOWER")
    ]
    async with SttServer([says(*problems)]) as server:
        run = Run(server)
        run.stream.push(word(1) + pause())
        run.stream.end()
        await run.to_the_end()
        failures = [each.code for each in run.sink.events if isinstance(each, Failure)]
        assert failures == ["SLOW", "SLOWER"]
        assert run.sink.finals == ["1"]


async def test_transcript_after_a_problem_keeps_the_connection() -> None:
    async def recover(heard: Heard) -> None:
        await heard.send(type="error", code="SLOW", message="slow")
        await heard.send(type="transcript", text="hm", isFinal=False)
        await Recogniser()(heard)

    async with SttServer([recover]) as server:
        run = Run(server)
        running = asyncio.create_task(run.to_the_end())
        await server.connected()
        await asyncio.sleep(2 * QUICK.error_grace)
        run.stream.push(word(1) + pause())
        run.stream.end()
        await running
        assert len(server.connections) == 1
        assert run.sink.finals == ["1"]


async def test_second_problem_has_a_grace_of_its_own() -> None:
    """The first one's, after which recognition went on, does not cut it short."""

    async def fails_twice(heard: Heard) -> None:
        for _ in range(2):
            await heard.send(type="error", code="PROVIDER_ERROR", message="tired")
            await asyncio.sleep(0.2)
            await heard.send(type="transcript", text="1", isFinal=True)
            await asyncio.sleep(0.1)
        await keep_silent(heard)

    async with SttServer([fails_twice]) as server:
        run = Run(server)
        run.stream.bounds = replace(QUICK, error_grace=0.4)
        running = asyncio.create_task(run.to_the_end())
        await asyncio.wait([running], timeout=0.8)
        assert (server.attempts, run.sink.finals) == (1, ["1", "1"])
        running.cancel()
        await asyncio.wait([running])


async def test_options_that_change_twice_in_a_word_wait_for_its_final() -> None:
    async with SttServer(default=Recogniser(Behaviour())) as server:
        run = Run(server)
        running = asyncio.create_task(run.to_the_end())
        run.stream.push(word(1) + pause())
        heard = await server.connected()
        await heard.heard(len(word(1)))
        run.stream.segment_open = True
        run.stream.renew(FRENCH)
        run.stream.renew(StreamOptions(intent=Intent("de")))
        await asyncio.sleep(3 * QUICK.quiet)
        assert len(server.connections) == 1
        run.stream.flush()
        again = await server.connected(2)
        run.stream.end()
        await running
        assert again.config["language"] == "de"
        assert run.sink.finals == ["1"]


async def test_bug_in_the_sink_ends_the_stream_with_its_own_error() -> None:
    class Buggy(Events):
        def on_sent(self, size: int) -> None:
            raise KeyError(size)

    async with SttServer() as server:
        run = Run(server)
        run.stream.sink = Buggy()
        run.stream.push(word(1))
        run.stream.end()
        with pytest.raises(KeyError):
            await run.to_the_end()


class EndingSocket:
    """A socket that the server closes when a test says so."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.is_closed = False

    async def send_text(self, text: str) -> None: ...

    async def receive(self) -> str:
        await self.ended.wait()
        raise SocketLost("The connection was closed.")

    async def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("steps", range(8))
async def test_socket_is_closed_whenever_the_stream_is_closed_after_its_end(steps: int) -> None:
    options = StreamOptions(intent=Intent("en"))
    sockets = Sockets(api_key=KEY, base_url="http://127.0.0.1:9")
    recognition = Recognition(sockets, options, Events(), bounds=QUICK)
    ws = EndingSocket()
    running = asyncio.create_task(Connection(cast(WebSocket, ws), recognition).run())
    await asyncio.sleep(0.01)
    ws.ended.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert ws.is_closed


class SlowlyClosing(EndingSocket):
    """A socket whose closing takes as long as a test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.closing, self.let_close = asyncio.Event(), asyncio.Event()

    async def close(self) -> None:
        self.closing.set()
        await self.let_close.wait()


async def test_options_that_change_while_the_stream_is_closed_set_no_timer() -> None:
    """It was to look again and again if the caller is still speaking."""
    options = StreamOptions(intent=Intent("en"))
    sockets = Sockets(api_key=KEY, base_url="http://127.0.0.1:9")
    recognition = Recognition(sockets, options, Events(), bounds=QUICK)
    ws = SlowlyClosing()
    connection = recognition._connection = Connection(cast(WebSocket, ws), recognition)
    running = asyncio.create_task(connection.run())
    await asyncio.sleep(0.01)
    recognition.segment_open = True
    running.cancel()
    await ws.closing.wait()
    recognition.renew(FRENCH)
    ws.let_close.set()
    await asyncio.wait([running])
    assert connection._quiet is None


class CountedAudio(UnconfirmedAudio):
    """Audio that counts how often it is looked at."""

    looks = 0

    @property
    def is_empty(self) -> bool:
        self.looks += 1
        return super().is_empty


async def test_options_that_change_in_a_segment_without_audio_are_no_busy_loop() -> None:
    interim = {"type": "transcript", "text": "hello", "isFinal": False}
    async with SttServer([says(json.dumps(interim))]) as server:
        run = Run(server)
        audio = run.stream.audio = CountedAudio(16_000)
        running = asyncio.create_task(run.to_the_end())
        await asyncio.wait([running], timeout=0.2)
        assert run.stream.segment_open
        run.stream.renew(FRENCH)
        audio.looks = 0
        await asyncio.wait([running], timeout=0.2)
        running.cancel()
        await asyncio.wait([running])
        assert audio.looks < 20


async def test_closed_client_refuses_the_stream() -> None:
    async with SttServer() as server:
        run = Run(server)
        await run.sockets.aclose()
        run.stream.push(word(1))
        with pytest.raises(SpekoApiError, match="closed"):
            await run.to_the_end()
