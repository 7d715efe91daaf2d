"""Responses that fail one turn of a session."""

from __future__ import annotations

from dataclasses import dataclass

from livekit_plugins_speko.testing import (
    Answer,
    AnswerWriter,
    ErrorEvent,
    Gate,
    Refusal,
    Reply,
    Speech,
    Transcript,
)
from tests.helpers.session_line import spoken
from tests.helpers.support import compressed, tone

ROUTES = ("transcribe", "complete", "synthesize")
QUESTION = "Who are you?"
REPLY = "Let me think about that."
WORDS = "Let me"
AUDIO = spoken(REPLY)
EVENTS = "text/event-stream"
PCM = "audio/pcm;rate=24000"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One response that fails a turn.

    Attributes:
        name: For messages.
        answer: What the service sends.
        retried: Whether LiveKit tries again, if it may.
        began: Whether a part of the output came before the fault.
        silent: Whether only a timeout ends it.
    """

    name: str
    answer: Answer
    retried: bool = True
    began: bool = False
    silent: bool = False


class Broken(Answer):
    """Pieces of a body, after which the connection closes before the body's end."""

    serves = frozenset({*ROUTES, "tools"})

    def __init__(self, content_type: str, *pieces: bytes) -> None:
        self.content_type, self.pieces = content_type, pieces

    async def write(self, writer: AnswerWriter) -> None:
        await writer.start(200, {"Content-Type": self.content_type})
        for piece in self.pieces:
            await writer.send(piece)
        writer.abort()


def faults(route: str) -> list[Fault]:
    """One fault for each way in which a turn of this route can end."""
    refused = Fault(name="wrong key", answer=Refusal(401, "no", "AUTH_ERROR"), retried=False)
    overloaded = Fault(name="overloaded", answer=Refusal(503, "later", "OVERLOADED"))
    return [refused, overloaded, *_FAULTS[route]()]


def _of_transcripts() -> list[Fault]:
    failed = ErrorEvent("no provider", "TRANSCRIBE_FAILED")
    held = Transcript("", interim=["Hel", Gate()])
    return [
        Fault(name="cut before an event", answer=Broken(EVENTS)),
        Fault(name="an error event", answer=Transcript("", interim=["Hel", failed])),
        Fault(name="silence in the middle", answer=held, silent=True),
    ]


def _of_replies() -> list[Fault]:
    failed = ErrorEvent("no provider", "COMPLETE_FAILED")
    began = Reply(["Let", " me", failed])
    held = Reply(["Let", " me", Gate()])
    return [
        Fault(name="an error event", answer=Reply([failed])),
        Fault(name="an error event after words", answer=began, retried=False, began=True),
        Fault(name="silence before words", answer=Reply([Gate()]), silent=True),
        Fault(name="silence after words", answer=held, retried=False, began=True, silent=True),
    ]


def _of_speech() -> list[Fault]:
    half = AUDIO[: len(AUDIO) // 2 + 1]
    mp3 = Speech(compressed(tone()), content_type="audio/mpeg")
    return [
        Fault(name="no audio", answer=Speech(b"")),
        Fault(name="cut in the audio", answer=Broken(PCM, half), began=True),
        Fault(name="another format", answer=mp3, retried=False),
        Fault(name="silence in the audio", answer=Speech([half, Gate()]), began=True, silent=True),
    ]


_FAULTS = {"transcribe": _of_transcripts, "complete": _of_replies, "synthesize": _of_speech}
