"""The responses of the benchmarks' gateway: settings in, timed bytes out. No I/O."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

import numpy as np

RATE_HZ = 24_000
LONGEST_SPEECH_MS = 120_000
# Longer than any benchmark runs.
NEVER_S = 3_600.0
REPLY = (
    *("I", " can", " tell", " you", " what", " the", " weather", " is", " like", " today", "."),
    *(" It", " is", " sunny", " in", " Paris", ",", " with", " a", " light", " wind", " from"),
    *(" the", " west", "."),
)

Piece: TypeAlias = tuple[float, bytes]
"""Seconds after the request's last byte, and the bytes to write then."""
Words: TypeAlias = tuple[tuple[float, str], ...]
"""The words of an utterance, each with the seconds from its first sound to the word's end."""


@dataclass(frozen=True)
class Upstream:
    """The latencies and the words of the providers that the gateway stands in for.

    Headers and the first output are written together, as by a service that responds when its
    provider does. The pieces of audio are 40 ms long: services that stream PCM write 20 to 100.

    Attributes:
        recognition_ms: From the last byte of the upload to the transcript.
        first_token_ms: From the request to the first token.
        token_ms: From one token to the next.
        first_audio_ms: From the request to the first piece of audio.
        audio_speed: How much faster than it is played the audio comes.
        piece_ms: Audio in one write.
        reply: The tokens of every reply.
        transcripts: Texts by the length of the upload: pairs of seconds and text, ascending. The
            last pair whose seconds the audio has counts.
        character_ms: Audio for a character of the text to be spoken.
        speech_ms: Audio for certain texts, whatever their length is.
        words: The words of the next utterance on a connection that streams.
        interim_ms: From the audio that completes a word to the interim that has it.
        flush_ms: From a flush to the final.
        notes_audio: True if the arrival of a stream's audio is noted.
        answer_ms: From the caller's last loud audio to the first of a voice model's reply.
        answer_audio_ms: The length of that reply, in whole pieces.
        turns_status: Of the response to reported turns; 0 for none, ever.
    """

    recognition_ms: float = 150
    first_token_ms: float = 250
    token_ms: float = 15
    first_audio_ms: float = 150
    audio_speed: float = 5
    piece_ms: int = 40
    reply: tuple[str, ...] = REPLY
    transcripts: tuple[tuple[float, str], ...] = ((0, "What is the weather in Paris today?"),)
    character_ms: float = 60
    speech_ms: dict[str, int] = field(default_factory=dict)
    words: Words = ()
    interim_ms: float = 80
    flush_ms: float = 60
    notes_audio: bool = False
    answer_ms: float = 300
    answer_audio_ms: int = 3000
    turns_status: int = 202

    def transcript(self, audio_s: float) -> str:
        """Return the text of an upload of that length."""
        return [text for seconds, text in self.transcripts if audio_s >= seconds][-1]

    def spoken_ms(self, text: str) -> int:
        """Return how many milliseconds of audio a text becomes."""
        length = self.speech_ms.get(text, round(self.character_ms * len(text)))
        return min(max(length, self.piece_ms), LONGEST_SPEECH_MS)


def split_line(target: str) -> tuple[str, str]:
    """Split a target into the name of its line and the path below it."""
    path = target.partition("?")[0]
    if not path.startswith("/lines/"):
        return "", path
    line, slash, rest = path[len("/lines/") :].partition("/")
    return line, slash + rest


def reported(upstream: Upstream) -> list[Piece]:
    """Build the response to turns that were reported."""
    if upstream.turns_status == 0:
        return [(NEVER_S, b"")]
    body = whole("application/json", b"{}", f"{upstream.turns_status} As set")
    return [(0.0, body)]


def transcribed(upstream: Upstream, text: str) -> list[Piece]:
    """Build Speko's transcript, as events."""
    meta = {"provider": "bench", "model": "bench-1", "failoverCount": 0, "scoresRunId": "run-1"}
    done = {**meta, "text": text, "confidence": 0.98}
    body = chunk(event("meta", meta) + event("done", done)) + LAST_CHUNK
    return [(upstream.recognition_ms / 1e3, SPEKO_EVENTS + body)]


def transcribed_openai(upstream: Upstream, text: str) -> list[Piece]:
    """Build OpenAI's transcript, one JSON object."""
    body = json.dumps({"text": text}).encode()
    return [(upstream.recognition_ms / 1e3, whole("application/json", body))]


@cache
def completed(first_token_ms: float, token_ms: float, reply: tuple[str, ...]) -> list[Piece]:
    """Build Speko's reply, an event for each token."""
    meta = {"provider": "bench", "model": "bench-1", "failoverCount": 0, "scoresRunId": "run-1"}
    usage = {"promptTokens": 20, "completionTokens": len(reply)}
    done = {**meta, "text": "".join(reply), "usage": usage}
    bodies = [event("delta", {"text": token}) for token in reply]
    bodies[0] = event("meta", meta) + bodies[0]
    return tokens(SPEKO_EVENTS, bodies, event("done", done), first_token_ms, token_ms)


@cache
def completed_openai(first_token_ms: float, token_ms: float, reply: tuple[str, ...]) -> list[Piece]:
    """Build OpenAI's reply: a chunk for each token, then the finish reason, the usage, the end."""

    def data(choices: list[Any], usage: dict[str, int] | None = None) -> bytes:
        fields: dict[str, Any] = {"id": "chatcmpl-1", "object": "chat.completion.chunk"}
        fields |= {"created": 1_700_000_000, "model": "bench-1", "choices": choices}
        text = json.dumps({**fields, "usage": usage}, separators=(",", ":"))
        return f"data: {text}\n\n".encode()

    def choice(delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
        return {"index": 0, "delta": delta, "finish_reason": finish}

    bodies = [data([choice({"content": token})]) for token in reply]
    bodies[0] = data([choice({"role": "assistant", "content": reply[0]})])
    spent = {"prompt_tokens": 20, "completion_tokens": len(reply), "total_tokens": 20 + len(reply)}
    end = data([choice({}, "stop")]) + data([], spent) + b"data: [DONE]\n\n"
    return tokens(OPENAI_EVENTS, bodies, end, first_token_ms, token_ms)


def tokens(
    head: bytes, bodies: list[bytes], end: bytes, first_ms: float, each_ms: float
) -> list[Piece]:
    """Time an event stream token by token; its end is written with the last token."""
    writes = [chunk(body) for body in bodies]
    writes[0] = head + writes[0]
    writes[-1] += chunk(end) + LAST_CHUNK
    return [((first_ms + each_ms * index) / 1e3, write) for index, write in enumerate(writes)]


def synthesized(upstream: Upstream, spoken_ms: int, head: bytes) -> list[Piece]:
    """Build audio of that length, the same for Speko and OpenAI but for the head."""
    every_s = upstream.piece_ms / upstream.audio_speed / 1e3
    whole_pieces, rest_ms = divmod(spoken_ms, upstream.piece_ms)
    writes = audio_pieces(upstream.piece_ms)[:whole_pieces]
    if rest_ms:
        writes = [*writes, chunk(noise()[: rest_ms * RATE_HZ // 1000 * 2])]
    pieces = [(upstream.first_audio_ms / 1e3 + every_s * i, w) for i, w in enumerate(writes)]
    pieces[0] = (pieces[0][0], head + pieces[0][1])
    pieces[-1] = (pieces[-1][0], pieces[-1][1] + LAST_CHUNK)
    return pieces


@cache
def audio_pieces(piece_ms: int) -> list[bytes]:
    """Cut the longest speech into pieces, framed as chunks."""
    size = piece_ms * RATE_HZ // 1000 * 2
    return [chunk(noise()[at : at + size]) for at in range(0, len(noise()) - size + 1, size)]


@cache
def noise() -> bytes:
    """Make the longest speech: noise, so that nothing can take it for silence."""
    samples = LONGEST_SPEECH_MS * RATE_HZ // 1000
    return np.random.default_rng(1).integers(1, 8000, samples).astype("<i2").tobytes()


def wav_seconds(body: bytes) -> float:
    """Return the length of the WAV in an upload, which is the body or a part of a form."""
    start = body.find(b"RIFF")
    if start < 0:
        return 0.0
    (bytes_per_s,) = struct.unpack_from("<I", body, start + 28)
    (data_bytes,) = struct.unpack_from("<I", body, start + 40)
    return float(data_bytes / bytes_per_s)


def event(name: str, data: dict[str, Any]) -> bytes:
    """Frame one server-sent event."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def chunk(data: bytes) -> bytes:
    """Frame one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole(content_type: str, body: bytes, status: str = "200 OK") -> bytes:
    """Build a response in one piece."""
    lines = (f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + body


def head(content_type: str, *more: str) -> bytes:
    """Build the head of a response whose body is chunked."""
    lines = ("HTTP/1.1 200 OK", f"Content-Type: {content_type}", "Transfer-Encoding: chunked")
    return "\r\n".join((*lines, *more, "", "")).encode()


LAST_CHUNK = b"0\r\n\r\n"
ROUTE = (
    "X-Speko-Provider: bench",
    "X-Speko-Model: bench-1",
    "X-Speko-Failover-Count: 0",
    "X-Speko-Scores-Run-Id: run-1",
)
SPEKO_EVENTS = head("text/event-stream", *ROUTE)
OPENAI_EVENTS = head("text/event-stream")
OPENAI_AUDIO = head("audio/pcm", "X-Request-Id: req-1")
SPEKO_AUDIO = head("audio/pcm;rate=24000", "X-Speko-Audio-Format: audio/pcm;rate=24000", *ROUTE)
