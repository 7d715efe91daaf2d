"""What a service can do wrong in a turn, one answer for each fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from livekit_plugins_speko.testing import (
    Answer,
    AnswerWriter,
    EndOfStream,
    ErrorEvent,
    Gate,
    Refusal,
    Reply,
    Speech,
    Transcript,
)
from livekit_plugins_speko.testing._gateway.writer import ClientGone
from tests.helpers.raw_server import events
from tests.helpers.session_line import spoken
from tests.helpers.support import compressed, tone, wav

ROUTES = ("transcribe", "complete", "synthesize")
QUESTION = "Who are you?"
REPLY = "Let me think about that."
WORDS = "Let me"
AUDIO = spoken(REPLY)
EVENTS = "text/event-stream"
JSON = "application/json"
PCM = "audio/pcm;rate=24000"


class Fault(NamedTuple):
    """One answer that spoils a turn.

    Attributes:
        name: For messages.
        answer: What the service sends.
        retried: Whether LiveKit asks again, if it may.
        began: Whether a part of the output came before.
    """

    name: str
    answer: Answer
    retried: bool = True
    began: bool = False


class Broken(Answer):
    """Pieces of a body as they are, and the end of the connection in place of the body's."""

    serves = frozenset({*ROUTES, "tools"})

    def __init__(self, content_type: str, *pieces: bytes | Gate, whole: bool = False) -> None:
        self.content_type, self.pieces, self.whole = content_type, pieces, whole

    async def write(self, writer: AnswerWriter) -> None:
        await writer.start(200, {"Content-Type": self.content_type})
        for piece in self.pieces:
            if isinstance(piece, Gate):
                await piece.hold()
            else:
                await writer.send(piece)
        if not self.whole:
            writer.abort()


class NoAnswer(Answer):
    """Nothing at all: the connection breaks off, or is held for good."""

    serves = frozenset({*ROUTES, "tools"})

    def __init__(self, gate: Gate | None = None) -> None:
        self.gate = gate

    async def write(self, writer: AnswerWriter) -> None:
        if self.gate is not None:
            await self.gate.hold()
        writer.abort()
        raise ClientGone("broken off by the test")


def said(name: str, **data: Any) -> bytes:
    """One event."""
    return events((name, json.dumps(data))).encode()


def whole(content_type: str, body: bytes) -> Broken:
    return Broken(content_type, body, whole=True)


def refusals() -> list[Fault]:
    """Every status of an error, for any route."""
    retried = [Fault(f"status {each}", Refusal(each, "later")) for each in (408, 429, 500, 503)]
    given_up = [
        Fault(f"status {each}", Refusal(each, "no"), retried=False)
        for each in (400, 401, 403, 404, 422)
    ]
    html = Refusal(502, body="<html>Bad Gateway</html>")
    long, short = (
        Refusal(429, "busy", "RATE_LIMITED", headers={"Retry-After": seconds})
        for seconds in ("60", "1")
    )
    return [
        *retried,
        *given_up,
        Fault("status 502 with a page", html),
        Fault("status 429 with a short Retry-After", short),
        Fault("status 429 with a long Retry-After", long, retried=False),
        Fault("broken off before the headers", NoAnswer()),
    ]


def transcribe_faults() -> list[Fault]:
    interim = said("transcript", text="Hel", isFinal=False, confidence=0.5)
    failed = ErrorEvent("no provider", "TRANSCRIBE_FAILED")
    return refusals() + [
        Fault("broken off before an event", Broken(EVENTS)),
        Fault("broken off between events", Broken(EVENTS, interim)),
        Fault("broken off in an event", Broken(EVENTS, interim, b'event: done\ndata: {"text": "H')),
        Fault("an error event", Transcript("", interim=[failed])),
        Fault("an error event in the middle", Transcript("", interim=["Hel", failed])),
        Fault("no done", Transcript("", interim=["Hel", EndOfStream()])),
        Fault("an empty stream", whole(EVENTS, b"")),
        Fault("an empty object", whole(JSON, b"")),
        Fault("done that is no JSON", whole(EVENTS, b"event: done\ndata: {nonsense\n\n")),
        Fault("done without a text", whole(EVENTS, said("done", provider="p"))),
        Fault("a page in place of events", whole("text/html", b"<html></html>")),
    ]


def complete_faults() -> list[Fault]:
    began = [said("delta", text="Let"), said("delta", text=" me")]
    failed = ErrorEvent("no provider", "COMPLETE_FAILED")
    cut = b'event: delta\ndata: {"text": " thi'
    nonsense = b"event: delta\ndata: {nonsense\n\n"
    return refusals() + [
        Fault("broken off before an event", Broken(EVENTS)),
        Fault("broken off in the first event", Broken(EVENTS, cut)),
        Fault("broken off after words", Broken(EVENTS, *began), False, began=True),
        Fault("broken off in an event", Broken(EVENTS, *began, cut), False, began=True),
        Fault("an error event", Reply([failed])),
        Fault("an error event after words", Reply(["Let", " me", failed]), False, began=True),
        Fault("no done", Reply([EndOfStream()])),
        Fault("no done after words", Reply(["Let", " me", EndOfStream()]), False, began=True),
        Fault("an empty reply", Reply("")),
        Fault("an empty stream", whole(EVENTS, b"")),
        Fault("an empty object", whole(JSON, b"")),
        Fault("a delta that is no JSON", whole(EVENTS, nonsense)),
        Fault("nonsense after words", whole(EVENTS, b"".join(began) + nonsense), False, began=True),
        Fault("a page in place of events", whole("text/html", b"<html></html>")),
    ]


def synthesize_faults() -> list[Fault]:
    half = AUDIO[: len(AUDIO) // 2 + 1]
    short_wav = wav(AUDIO)[: len(AUDIO) // 2 + 1]
    return refusals() + [
        Fault("broken off before the audio", Broken(PCM)),
        Fault("broken off in the audio", Broken(PCM, half), began=True),
        Fault("no audio", Speech(b"")),
        Fault("half a WAV", Speech(short_wav, content_type="audio/wav"), began=True),
        Fault("a WAV that is none", Speech(b"RIFFnone", content_type="audio/wav")),
        Fault("MP3", Speech(compressed(tone()), content_type="audio/mpeg"), False),
        Fault("another rate", Speech(AUDIO, content_type="audio/pcm;rate=16000"), False),
        Fault("stereo", Speech(wav(AUDIO, channels=2), content_type="audio/wav"), False),
        Fault("a page in place of audio", Speech(b"<html>", content_type="text/html"), False),
    ]


def silences(route: str) -> list[Fault]:
    """Answers that stop and never go on."""
    half = AUDIO[: len(AUDIO) // 2 + 1]
    stalls: dict[str, list[Fault]] = {
        "transcribe": [Fault("silence in the middle", Transcript("", interim=["Hel", Gate()]))],
        "complete": [
            Fault("silence before words", Reply([Gate()])),
            Fault("silence after words", Reply(["Let", " me", Gate()]), False, began=True),
        ],
        "synthesize": [
            Fault("silence before the audio", Speech([Gate()])),
            Fault("silence in the audio", Speech([half, Gate()]), began=True),
        ],
    }
    return [Fault("silence before the headers", NoAnswer(Gate())), *stalls[route]]


FAULTS: dict[str, Callable[[], list[Fault]]] = {
    "transcribe": transcribe_faults,
    "complete": complete_faults,
    "synthesize": synthesize_faults,
}
