"""Rows of the two stages whose response is events, or JSON from an older service."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from typing import Any

from livekit_plugins_speko.api.limits import MAX_EVENT_BYTES, MAX_JSON_BYTES
from livekit_plugins_speko.testing import Answer
from tests.faults.answers import End, Raw, closed, reset, silence
from tests.faults.network import BROKEN, IMPATIENT, RESET, TIMEOUT
from tests.faults.rows import ALL, HALF, NOTHING, Row
from tests.faults.stages import (
    COMPLETE,
    EVENT_STREAM,
    JSON,
    TRANSCRIBE,
    Complete,
    Transcribe,
    cut,
    event,
)

MALFORMED = "APIError, MALFORMED_RESPONSE"
ENDED = "APIError, STREAM_ENDED"
GIVEN_UP = "APIError, ALL_PROVIDERS_FAILED"
EMPTY = "APIError, EMPTY_COMPLETION"
ERROR_EVENT = event("error", {"error": "nobody is left", "code": "ALL_PROVIDERS_FAILED"})
NO_JSON_EVENT = b'event: delta\ndata: {"text\n\nevent: transcript\ndata: {"text\n\n'

EventStage = Transcribe | Complete


def stream_rows(stage: EventStage) -> list[Row]:
    """Every row of a stage whose response is events."""
    return [
        *_at_the_start(stage),
        *_in_the_middle(stage),
        *(_of_transcripts() if isinstance(stage, Transcribe) else _of_replies()),
        *_strange_and_whole(stage),
        *_large(stage),
        *_json(stage),
    ]


def _fails(stage: EventStage, fault: str, error: str, answer: Answer, **more: Any) -> Row:
    return Row(fault=fault, stage=stage, answer=answer, error=error, retried=True, **more)


def _works(stage: EventStage, fault: str, pieces: Sequence[bytes], **more: Any) -> Row:
    answer = Raw(tuple(pieces), EVENT_STREAM)
    return Row(fault=fault, stage=stage, answer=answer, heard=ALL, **more)


def _at_the_start(stage: EventStage) -> list[Row]:
    def row(fault: str, error: str, *pieces: bytes, content_type: str = EVENT_STREAM) -> Row:
        return _fails(stage, fault, error, Raw(pieces, content_type))

    meta = stage.pieces[0]
    zipped = gzip.compress(b"".join(stage.pieces))
    told_zipped = Raw((zipped,), EVENT_STREAM, headers={"Content-Encoding": "gzip"})
    return [
        row("error event at the start", GIVEN_UP, meta, ERROR_EVENT),
        row("event stream without done, no words", ENDED, meta),
        row("empty 200, an event stream", ENDED),
        row("empty 200 without a type", MALFORMED, content_type=""),
        row("an event's data is no JSON", MALFORMED, meta, NO_JSON_EVENT),
        row("text/html with status 200", MALFORMED, b"<html></html>", content_type="text/html"),
        _fails(stage, "a compressed answer, not asked for", MALFORMED, told_zipped),
    ]


def _in_the_middle(stage: EventStage) -> list[Row]:
    """Half was sent: of a reply it was forwarded, of a transcript it was not."""

    def row(fault: str, error: str, *pieces: bytes) -> Row:
        return Row(
            fault=fault,
            stage=stage,
            answer=Raw((*stage.pieces[: stage.middle], *pieces), EVENT_STREAM),
            error=error,
            retried=stage.retried_in_the_middle,
            heard=HALF if stage.heard_in_the_middle else NOTHING,
        )

    return [
        row("error event in the middle", GIVEN_UP, ERROR_EVENT),
        row("event stream without done", ENDED),
        row("an end in order inside the done event", ENDED, stage.pieces[-1][:-5]),
        row("in the middle, data that is no JSON", MALFORMED, NO_JSON_EVENT),
        row("in the middle, data that is a list", MALFORMED, b"event: done\ndata: []\n\n"),
    ]


def _of_transcripts() -> list[Row]:
    quiet = event("done", {**TRANSCRIBE.done, "text": ""})
    textless = event("done", {**TRANSCRIBE.done, "text": None})
    pieces = TRANSCRIBE.pieces[:1]
    return [
        _works(TRANSCRIBE, "an empty text: the caller was silent", [*pieces, quiet], said=""),
        _fails(
            TRANSCRIBE, "done without a text", MALFORMED, Raw((*pieces, textless), EVENT_STREAM)
        ),
    ]


def _of_replies() -> list[Row]:
    meta, call = COMPLETE.pieces[0], {"id": "call-1", "name": "book", "args": "{}"}
    nothing = Raw((meta, event("done", {**COMPLETE.done, "text": ""})), EVENT_STREAM)
    nameless = Raw((meta, event("tool_call", {**call, "name": None})), EVENT_STREAM)
    broken = Raw((meta, event("tool_call", call)), EVENT_STREAM, then=reset)
    return [
        _fails(COMPLETE, "done without text and tool calls", EMPTY, nothing),
        _fails(COMPLETE, "a tool call without a name", MALFORMED, nameless),
        # Calls are forwarded with done, so none is made twice.
        _fails(COMPLETE, "reset behind a tool call", RESET, broken),
    ]


def _strange_and_whole(stage: EventStage) -> list[Row]:
    pieces, body = stage.pieces, b"".join(stage.pieces)
    comments = b": keepalive\n\n".join(piece.replace(b"\ndata", b"\n: x\ndata") for piece in pieces)
    unknown = b"event: usage\ndata: no JSON\n\nid: 7\nretry: 10\nevent: ping\n\n"
    return [
        _works(stage, "events split at every byte", cut(body, 1)),
        _works(stage, "CRLF line ends", [body.replace(b"\n", b"\r\n")]),
        _works(stage, "CRLF, split at every byte", cut(body.replace(b"\n", b"\r\n"), 1)),
        _works(stage, "comments between and in events", [comments]),
        _works(stage, "unknown events", [unknown.join([b"", *pieces])]),
        _works(stage, "two done", [*pieces, pieces[-1]]),
        _works(stage, "done without its blank line", [*pieces[:-1], pieces[-1][:-2]]),
        _works(stage, "an error event behind done", [*pieces, ERROR_EVENT]),
        _after_done(stage, "reset behind done", reset),
        _after_done(stage, "silence behind done", silence),
    ]


def _after_done(stage: EventStage, fault: str, then: End) -> Row:
    return Row(
        fault=fault, stage=stage, answer=Raw(stage.pieces, EVENT_STREAM, then=then), heard=ALL
    )


def _large(stage: EventStage) -> list[Row]:
    long_text = " ".join(f"word{number}" for number in range(110_000))
    name = "done" if isinstance(stage, Transcribe) else "delta"
    large = event(name, {**stage.done, "text": long_text})
    ends = [] if isinstance(stage, Transcribe) else [event("done", {**stage.done, "text": ""})]
    above = cut(event(name, {"text": "x" * MAX_EVENT_BYTES}), 65_536)
    unending = Raw((stage.pieces[0], *above[:-1]), EVENT_STREAM, then=silence)
    return [
        _works(stage, "an event of 1 MB", [*cut(large, 65_536), *ends], said=long_text),
        _fails(stage, "an event of more than 4 MiB", MALFORMED, Raw(tuple(above), EVENT_STREAM)),
        _fails(stage, "4 MiB of an event, then silence", TIMEOUT, unending, **IMPATIENT),
    ]


def _json(stage: EventStage) -> list[Row]:
    body = json.dumps(stage.done).encode()
    half = body[: len(body) // 2]
    no_text = json.dumps({**stage.done, "text": None}).encode()
    textless = MALFORMED if isinstance(stage, Transcribe) else EMPTY
    huge = (b'{"text": "', *cut(b"x" * MAX_JSON_BYTES, 65_536), b'"}')

    def row(fault: str, error: str, *pieces: bytes, then: End | None = None) -> Row:
        answer = Raw(pieces, JSON, then=then) if then else Raw(pieces, JSON)
        more = IMPATIENT if then is silence else {}
        return _fails(stage, fault, error, answer, **more)

    whole = Raw((body,), JSON)
    charset = Raw(tuple(cut(body, 1)), "Application/JSON; charset=utf-8")
    return [
        Row(fault="JSON in place of events", stage=stage, answer=whole, heard=ALL),
        Row(fault="JSON with a charset, at every byte", stage=stage, answer=charset, heard=ALL),
        row("JSON, reset in the middle", RESET, half, then=reset),
        row("JSON, closed in the middle", BROKEN, half, then=closed),
        row("JSON, a stall in the middle", TIMEOUT, half, then=silence),
        row("JSON that is none", MALFORMED, half),
        row("JSON, empty 200", MALFORMED),
        row("JSON that is a list", MALFORMED, b"[]"),
        row("JSON without a text", textless, no_text),
        row("JSON of more than 4 MiB", MALFORMED, *huge),
    ]
