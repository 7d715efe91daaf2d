"""The ways to set up a session that `turns` compares, and the replies of its model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from livekit.agents import TurnHandlingOptions, inference, stt, tokenize, tts, vad

from benchmarks.common.gateway import INTENT
from benchmarks.common.upstream import REPLY
from livekit_plugins_speko import (
    FirstWordsTokenizer,
    Speko,
    SpekoSTT,
    SpekoSTTAdapter,
    SpekoTTS,
    SpekoTTSAdapter,
)

# LiveKit's own for a TTS that does not stream, and this package's default.
TOKENIZER = tokenize.blingfire.SentenceTokenizer(retain_format=True)
SECOND = (" It", " is", " sunny", " in", " Paris", " today", ".")
REPLIES = {
    "one clause": (*REPLY[:11], *SECOND),
    "two clauses": (
        *("You", " can", " walk", " there", " in", " ten", " minutes", ",", " or", " take"),
        *(" the", " tram", ".", *SECOND),
    ),
    "Sure.": ("Sure", ".", " I", *REPLY[1:11], *SECOND),
}
# Less audio than speech has: the measurement ends with its first frame.
CHARACTER_MS = 15


@dataclass(frozen=True)
class Setup:
    """One way to set up a session, and the call that it holds.

    Attributes:
        name: In the tables.
        ours: True for this package's adapters, False for LiveKit's.
        streaming: True when recognition runs while the caller speaks.
        eager: True when recognition begins before the VAD has decided.
        eager_delay: Silence before that, in seconds.
        preemptive_tts: True when LiveKit synthesizes a reply before the turn is certain.
        turn_detector: True when LiveKit's local turn detector ends a turn, False for the VAD.
        min_delay: Least time from the last sound to the end of the turn, in seconds; None for
            LiveKit's own.
        first_words: When the first piece of a reply is synthesized; "off" as LiveKit does it.
        reply: The key of every reply.
        pause_s: Silence put into the middle of each utterance; 0 for none.
    """

    name: str
    ours: bool = True
    streaming: bool = False
    eager: bool = False
    eager_delay: float = 0.2
    preemptive_tts: bool = False
    turn_detector: bool = False
    min_delay: float | None = None
    first_words: Literal["off", "sentence", "clause"] = "off"
    reply: str = "one clause"
    pause_s: float = 0.0

    @property
    def line(self) -> str:
        """The name of its line in the gateway, which no other setup uses."""
        words = f"{self.name} {self.reply} {'paused' if self.pause_s else ''}"
        return re.sub(r"[^a-z0-9.]+", "-", words.lower()).strip("-")

    def stt_adapter(self, speko: Speko, detector: vad.VAD) -> stt.STT[Any]:
        """Make a `SpekoSTT`, in its adapter if it has one."""
        wrapped = SpekoSTT(speko=speko, intent=INTENT, streaming=self.streaming)
        if not self.ours:
            return stt.StreamAdapter(stt=wrapped, vad=detector)
        if self.streaming and not self.eager:
            return wrapped
        return SpekoSTTAdapter(
            stt=wrapped, vad=detector, eager=self.eager, eager_delay=self.eager_delay
        )

    def turn_handling(self) -> TurnHandlingOptions:
        """Build the session's options: all of it runs on this machine."""
        options: TurnHandlingOptions = {
            "turn_detection": (
                inference.TurnDetector(version="v1-mini") if self.turn_detector else "vad"
            ),
            # The loudspeaker cannot pause, and the caller never interrupts.
            "interruption": {"mode": "vad", "resume_false_interruption": False},
            "preemptive_generation": {"preemptive_tts": self.preemptive_tts},
        }
        if self.min_delay is not None:
            options["endpointing"] = {"min_delay": self.min_delay}
        return options

    def tts_adapter(self, speko: Speko) -> tts.StreamAdapter:
        """Wrap a `SpekoTTS` in its adapter."""
        return voice(speko, ours=self.ours, first_words=self.first_words)


def voice(
    speko: Speko, *, ours: bool, first_words: Literal["off", "sentence", "clause"] = "off"
) -> tts.StreamAdapter:
    """Wrap a `SpekoTTS` in LiveKit's adapter or in ours, with the same tokenizer."""
    wrapped = SpekoTTS(speko=speko, intent=INTENT)
    if not ours:
        return tts.StreamAdapter(tts=wrapped, sentence_tokenizer=TOKENIZER)
    tokenizer: tokenize.SentenceTokenizer = TOKENIZER
    if first_words != "off":
        tokenizer = FirstWordsTokenizer(tokenizer=TOKENIZER, first=first_words)
    return SpekoTTSAdapter(tts=wrapped, sentence_tokenizer=tokenizer)
