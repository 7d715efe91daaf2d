"""How the sessions of the turns are put together, and what their model says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from livekit.agents import stt, tokenize, tts, vad

from benchmarks._common import INTENT
from benchmarks._upstream import REPLY
from livekit_plugins_speko import Speko, SpekoSTT, SpekoTTS
from livekit_plugins_speko.stt.stream_adapter import SpekoSTTAdapter
from livekit_plugins_speko.tts.first_words import FirstWordsTokenizer
from livekit_plugins_speko.tts.stream_adapter import SpekoTTSAdapter

SECOND = (" It", " is", " sunny", " in", " Paris", " today", ".")
REPLIES = {
    "one clause": (*REPLY[:11], *SECOND),
    "two clauses": (
        *("You", " can", " walk", " there", " in", " ten", " minutes", ",", " or", " take"),
        *(" the", " tram", ".", *SECOND),
    ),
    "Sure.": ("Sure", ".", " I", *REPLY[1:11], *SECOND),
}
# Less audio than it would be: nobody listens beyond the first of it.
CHARACTER_MS = 15


@dataclass(frozen=True)
class Setup:
    """One way to put a session together, and what it is to go through.

    Attributes:
        name: In the tables.
        ours: Whether the adapters are this package's, and not LiveKit's.
        eager: Whether recognition begins before the VAD has decided.
        first_words: When the first piece of a reply is synthesised; "off" as LiveKit does it.
        vad_silence_s: How much silence the VAD takes for the end of speech.
        reply: The key of every reply.
        pause_s: Silence put into the middle of each utterance; 0 for none.
    """

    name: str
    ours: bool = True
    eager: bool = False
    first_words: Literal["off", "sentence", "clause"] = "off"
    vad_silence_s: float = 0.55
    reply: str = "one clause"
    pause_s: float = 0.0

    @property
    def line(self) -> str:
        """The name of its line in the gateway, of which no other setup has it."""
        words = f"{self.name} {self.reply} {'paused' if self.pause_s else ''}"
        return re.sub(r"[^a-z0-9.]+", "-", words.lower()).strip("-")

    def stt_adapter(self, speko: Speko, detector: vad.VAD) -> stt.StreamAdapter:
        """Its adapter around `SpekoSTT`."""
        wrapped = SpekoSTT(speko=speko, intent=INTENT)
        if not self.ours:
            return stt.StreamAdapter(stt=wrapped, vad=detector)
        return SpekoSTTAdapter(stt=wrapped, vad=detector, eager=self.eager)

    def tts_adapter(self, speko: Speko) -> tts.StreamAdapter:
        """Its adapter around `SpekoTTS`."""
        wrapped = SpekoTTS(speko=speko, intent=INTENT)
        tokenizer: tokenize.SentenceTokenizer = tokenize.basic.SentenceTokenizer(retain_format=True)
        if not self.ours:
            return tts.StreamAdapter(tts=wrapped, sentence_tokenizer=tokenizer)
        if self.first_words != "off":
            tokenizer = FirstWordsTokenizer(tokenizer=tokenizer, first=self.first_words)
        return SpekoTTSAdapter(tts=wrapped, sentence_tokenizer=tokenizer)
