"""The ways to set up a session that `turns` compares, and the replies of its model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from livekit.agents import stt, tokenize, tts, vad

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
        eager: True when recognition begins before the VAD has decided.
        first_words: When the first piece of a reply is synthesized; "off" as LiveKit does it.
        reply: The key of every reply.
        pause_s: Silence put into the middle of each utterance; 0 for none.
    """

    name: str
    ours: bool = True
    eager: bool = False
    first_words: Literal["off", "sentence", "clause"] = "off"
    reply: str = "one clause"
    pause_s: float = 0.0

    @property
    def line(self) -> str:
        """The name of its line in the gateway, which no other setup uses."""
        words = f"{self.name} {self.reply} {'paused' if self.pause_s else ''}"
        return re.sub(r"[^a-z0-9.]+", "-", words.lower()).strip("-")

    def stt_adapter(self, speko: Speko, detector: vad.VAD) -> stt.StreamAdapter:
        """Wrap a `SpekoSTT` in its adapter."""
        wrapped = SpekoSTT(speko=speko, intent=INTENT)
        if not self.ours:
            return stt.StreamAdapter(stt=wrapped, vad=detector)
        return SpekoSTTAdapter(stt=wrapped, vad=detector, eager=self.eager)

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
