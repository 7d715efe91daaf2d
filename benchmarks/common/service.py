"""A service in a process of its own: Speko's wire and OpenAI's, with the same set latencies.

    .venv/bin/python -m benchmarks.common.service [--port 0] [--tls]

It prints ``{"port": 34567}`` and serves until its standard input ends. `gateway.Gateway` starts it
and talks to it.

Every byte of a response is ready before its request comes, or soon after; each write has a time of
its own, counted from the request's last byte, so that late writes do not add up. It waits with
`select`, since `epoll` rounds every wait up to a millisecond.

The wires, below ``/`` or below a line, ``/lines/NAME``, which has settings of its own:
    POST /v1/transcribe  POST /v1/complete  POST /v1/synthesize  (Speko)
    POST /v1/sessions/ID/turns  (Speko)
    POST /v1/audio/transcriptions  POST /v1/chat/completions  POST /v1/audio/speech  (OpenAI)
    POST /v1/sessions  POST /v1/realtime/telemetry  (Speko)
    GET  /v1/transcribe/stream  (Speko)    GET /v1/listen  (Deepgram): WebSockets
    GET  /v1/sessions/ID  (Speko)          GET /v1/realtime  (OpenAI, xAI): WebSockets
    HEAD anything: 204; anything else: 404 (for prewarming)

For the benchmark:
    PUT /lines/NAME     JSON with some of `Upstream`'s fields: makes or changes a line; the base URL
                        is then http://127.0.0.1:PORT/lines/NAME. NAME "" is the line below "/".
    GET /stats          JSON of `Stats.to_json`: the figures since the last DELETE.
    DELETE /stats
"""

from __future__ import annotations

import argparse
import asyncio
import json
import selectors
import ssl
import sys
import time
from dataclasses import replace

from benchmarks.common.gateway import CERTIFICATE
from benchmarks.common.records import Record, Stats
from benchmarks.common.sockets import socket_server
from benchmarks.common.upstream import (
    OPENAI_AUDIO,
    SPEKO_AUDIO,
    Piece,
    Upstream,
    audio_pieces,
    completed,
    completed_openai,
    reported,
    split_line,
    synthesized,
    transcribed,
    transcribed_openai,
    wav_seconds,
    whole,
)
from benchmarks.common.voice_wires import minted

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
NOT_FOUND = whole("application/json", b'{"error":"no such path"}', "404 Not Found")


class Service:
    """The lines and the figures, shared by all connections."""

    def __init__(self) -> None:
        # Settings by the name of the line.
        self.lines = {"": Upstream()}
        self.stats = Stats()
        self.sockets = socket_server(self)
        # Its address, ws or wss.
        self.url = ""

    def respond(self, method: str, target: str, body: bytes) -> tuple[Record, list[Piece]] | bytes:
        """Return a request's record and timed pieces, or a response to write at once."""
        line, path = split_line(target)
        upstream = self.lines.get(line)
        if method == "HEAD" or method != "POST" or upstream is None:
            return NO_CONTENT if method == "HEAD" else NOT_FOUND
        if path == "/v1/sessions":
            return self._mint(line, body)
        if path == "/v1/realtime/telemetry":
            return NO_CONTENT
        record = Record(line, path, time.monotonic())
        pieces = pieces_of(record, upstream, body)
        if pieces is None:
            return NOT_FOUND
        self.stats.records.append(record)
        return record, pieces

    def _mint(self, line: str, body: bytes) -> bytes:
        provider = json.loads(body)["s2s"].get("provider", "")
        answer = minted(f"{self.url}/lines/{line}" if line else self.url, provider)
        return whole("application/json", json.dumps(answer).encode())

    def control(self, method: str, target: str, body: bytes) -> bytes | None:
        """Return the response to the benchmark; None for the request of a client."""
        line, path = split_line(target)
        if method == "PUT" and path in ("", "/"):
            settings = json.loads(body)
            for name in {"reply", "words"} & settings.keys():
                settings[name] = tuple(settings[name])
            self.lines[line] = replace(self.lines.get(line, Upstream()), **settings)
            audio_pieces(self.lines[line].piece_ms)
            return NO_CONTENT
        if path != "/stats":
            return None
        if method == "DELETE":
            self.stats = Stats()
            return NO_CONTENT
        return whole("application/json", json.dumps(self.stats.to_json()).encode())


def pieces_of(record: Record, upstream: Upstream, body: bytes) -> list[Piece] | None:
    """Build the pieces of a response; None for a path of neither wire."""
    if record.path in ("/v1/transcribe", "/v1/audio/transcriptions"):
        record.audio_s = wav_seconds(body)
        record.text = upstream.transcript(record.audio_s)
        build = transcribed if record.path == "/v1/transcribe" else transcribed_openai
        return build(upstream, record.text)
    if record.path in ("/v1/complete", "/v1/chat/completions"):
        complete = completed if record.path == "/v1/complete" else completed_openai
        return complete(upstream.first_token_ms, upstream.token_ms, upstream.reply)
    if record.path.startswith("/v1/sessions/") and record.path.endswith("/turns"):
        return reported(upstream)
    if record.path in ("/v1/synthesize", "/v1/audio/speech"):
        speko = record.path == "/v1/synthesize"
        record.text = json.loads(body)["text" if speko else "input"]
        head = SPEKO_AUDIO if speko else OPENAI_AUDIO
        return synthesized(upstream, upstream.spoken_ms(record.text), head)
    return None


class Connection(asyncio.Protocol):
    """One client's connection, kept alive: one request after the other."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._loop = asyncio.get_running_loop()
        # Bytes of a request that is not complete.
        self._received = bytearray()
        # None before the connection is made.
        self._transport: asyncio.Transport | None = None
        # True once it carried a client's request.
        self._counted = False
        # The timer of the next write; None between two responses.
        self._timer: asyncio.TimerHandle | None = None
        # The request that is being served; None between two.
        self._record: Record | None = None
        # The pieces that are not yet written, last first.
        self._pieces: list[Piece] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        first, *lines = bytes(self._received[:end]).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(":", 1) for line in lines)
        if headers.get("upgrade", "").strip() == "websocket":
            self._hand_over()
            return
        if "transfer-encoding" in headers:
            raise NotImplementedError("a chunked request: no client here sends one")
        size = end + 4 + int(headers.get("content-length", 0))
        if len(self._received) < size:
            return
        body = bytes(self._received[end + 4 : size])
        del self._received[:size]
        method, target, _ = first.split(" ")
        self._respond(method, target, body)

    def _hand_over(self) -> None:
        """Let aiohttp serve the connection from here on."""
        assert self._transport is not None
        handler = self._service.sockets()
        self._transport.set_protocol(handler)
        handler.connection_made(self._transport)
        handler.data_received(bytes(self._received))

    def _respond(self, method: str, target: str, body: bytes) -> None:
        assert self._transport is not None
        response: tuple[Record, list[Piece]] | bytes | None
        response = self._service.control(method, target, body)
        if response is None:
            self._service.stats.connections += not self._counted
            self._counted = True
            response = self._service.respond(method, target, body)
        if isinstance(response, bytes):
            self._transport.write(response)
        else:
            self._record, self._pieces = response[0], response[1][::-1]
            self._set_timer()

    def _set_timer(self) -> None:
        assert self._record is not None
        due_s = self._record.arrived_s + self._pieces[-1][0]
        self._timer = self._loop.call_at(due_s, self._write)

    def _write(self) -> None:
        assert self._transport is not None and self._record is not None
        offset_s, data = self._pieces.pop()
        late_s = time.monotonic() - self._record.arrived_s - offset_s
        self._service.stats.late_ms.append(1e3 * late_s)
        self._transport.write(data)
        if self._pieces:
            self._set_timer()
        else:
            self._record = self._timer = None


async def serve(port: int, tls: bool) -> None:
    """Serve until standard input ends, which it does when the benchmark's process has ended."""
    context: ssl.SSLContext | None = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
    audio_pieces(Upstream().piece_ms)
    service = Service()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", port, ssl=context)
    port = server.sockets[0].getsockname()[1]
    service.url = f"ws{'s' if tls else ''}://127.0.0.1:{port}"
    print(json.dumps({"port": port}), flush=True)
    stopped = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), stopped.set)
    await stopped.wait()
    server.close()


def main() -> None:
    """Read the command line, and serve."""
    command = argparse.ArgumentParser(description="A gateway for the benchmarks.")
    command.add_argument("--port", type=int, default=0)
    command.add_argument("--tls", action="store_true")
    options = command.parse_args()
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    asyncio.set_event_loop(loop)
    loop.run_until_complete(serve(options.port, options.tls))


if __name__ == "__main__":
    main()
