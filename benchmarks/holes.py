"""The silence inside a reply whose first piece is short, as somebody who listens hears it.

Replies of three sentences, the first half a second long, beside each other with LiveKit's
`tts.StreamAdapter`, which asks for a sentence when it has the one before, and with
`SpekoTTSAdapter`. Then replies that open with "Sure.", which LiveKit's tokenizer joins to the next
sentence and `FirstWordsTokenizer` says alone. All replies of a kind are spoken at once.

    .venv/bin/python -m benchmarks.holes [--json holes.json]
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from livekit.agents import tokenize, tts

from benchmarks._common import (
    API_KEY,
    INTENT,
    Gateway,
    machine,
    median,
    parser,
    print_table,
    write_json,
)
from livekit_plugins_speko import Speko, SpekoTTS
from livekit_plugins_speko.tts.first_words import FirstWordsTokenizer
from livekit_plugins_speko.tts.stream_adapter import SpekoTTSAdapter

RUNS = 6
REST = (
    "It looks out on the harbour and has a bath.",
    "Breakfast is served from seven until half past ten.",
)
ONE_SENTENCE, SURE = "Yes, there is a room free.", "Sure."
SPEECH_MS = {ONE_SENTENCE: 500, SURE: 400}
TOKEN_S = 0.015
# Between the starts of two replies, so that they are not in step.
APART_S = 0.23

Arrival: TypeAlias = tuple[float, float]
"""When a frame came, and how long it is, in seconds."""
Holes: TypeAlias = list[float]
"""The silences of one reply, in seconds."""


@dataclass(frozen=True)
class Case:
    """A kind of reply.

    Attributes:
        opening: Its first sentence.
        first_audio_ms: From the request for a sentence to its first byte.
        speed: How much faster than it is played the audio comes.
    """

    opening: str
    first_audio_ms: int
    speed: float

    @property
    def line(self) -> str:
        """The name of its line in the gateway."""
        return f"{self.opening[:4]}-{self.first_audio_ms}-{self.speed:g}"


CASES = (
    Case(ONE_SENTENCE, 600, 5),
    Case(ONE_SENTENCE, 600, 1),
    Case(SURE, 150, 5),
    Case(SURE, 600, 5),
)


async def measured(gateway: Gateway, case: Case) -> tuple[list[Holes], list[Holes]]:
    """The holes of each reply of one kind: LiveKit's adapter's, ours."""
    settings = {"first_audio_ms": case.first_audio_ms, "audio_speed": case.speed}
    url = gateway.line(case.line, speech_ms=SPEECH_MS, **settings)
    livekits = (speak(url, case, False, run * APART_S) for run in range(RUNS))
    ours = (speak(url, case, True, (run + 0.5) * APART_S) for run in range(RUNS))
    found = await asyncio.gather(*livekits, *ours)
    return found[:RUNS], found[RUNS:]


async def speak(url: str, case: Case, ours: bool, wait_s: float) -> Holes:
    """Speak the reply once, token by token."""
    async with Speko(base_url=url, api_key=API_KEY) as speko:
        adapter = adapter_around(SpekoTTS(speko=speko, intent=INTENT), ours, case.opening == SURE)
        await asyncio.sleep(wait_s)
        async with adapter.stream() as stream:
            writer = asyncio.create_task(write(stream, case.opening))
            arrivals = [(time.monotonic(), audio.frame.duration) async for audio in stream]
            await writer
        await adapter.aclose()
    return holes_of(arrivals)


def adapter_around(wrapped: SpekoTTS, ours: bool, first_words: bool) -> tts.StreamAdapter:
    """The adapter with the tokenizer that the factory gives it."""
    tokenizer: tokenize.SentenceTokenizer = tokenize.basic.SentenceTokenizer(retain_format=True)
    if not ours:
        return tts.StreamAdapter(tts=wrapped, sentence_tokenizer=tokenizer)
    if first_words:
        tokenizer = FirstWordsTokenizer(tokenizer=tokenizer)
    return SpekoTTSAdapter(tts=wrapped, sentence_tokenizer=tokenizer)


async def write(stream: tts.SynthesizeStream, opening: str) -> None:
    """Write the reply as a model does."""
    for word in " ".join((opening, *REST)).split(" "):
        stream.push_text(f"{word} ")
        await asyncio.sleep(TOKEN_S)
    stream.end_input()


def holes_of(arrivals: Iterable[Arrival]) -> Holes:
    """The silences that a listener hears.

    The player begins with the first frame, and plays in real time whatever has come by then.
    """
    holes: Holes = []
    heard_until_s: float | None = None
    for arrived_s, duration_s in arrivals:
        if heard_until_s is None or arrived_s > heard_until_s:
            if heard_until_s is not None:
                holes.append(arrived_s - heard_until_s)
            heard_until_s = arrived_s
        heard_until_s += duration_s
    return holes


def figures_ms(replies: list[Holes]) -> tuple[float, float, float]:
    """The median of the silence in a reply, that of its longest hole, and the worst silence."""
    silences = [sum(holes) for holes in replies]
    longest = median(max(holes, default=0.0) for holes in replies)
    return 1e3 * median(silences), 1e3 * longest, 1e3 * max(silences)


def main() -> None:
    """Measure, and print the table."""
    options = parser(__doc__).parse_args()
    with Gateway() as gateway:
        found = {case: asyncio.run(measured(gateway, case)) for case in CASES}
    print(
        f"{machine()}, {RUNS} replies each, ms of silence in a reply; StreamAdapter is LiveKit's\n"
    )
    rows: list[list[str]] = []
    for case, (livekits, ours) in found.items():
        theirs_ms, ours_ms = figures_ms(livekits), figures_ms(ours)
        ratio = f"{ours_ms[0] / theirs_ms[0]:.2f}" if theirs_ms[0] else ""
        setting = (f'"{case.opening}"', f"{case.first_audio_ms} ms", f"{case.speed:g}x")
        rows.append([*setting, ratio, *(f"{each:.0f}" for each in (*theirs_ms, *ours_ms))])
    kinds = ("median", "longest hole", "worst reply")
    heads = [f"{name}, {kind}" for name in ("StreamAdapter", "SpekoTTSAdapter") for kind in kinds]
    print_table(("opens with", "to first audio", "it comes at", "ratio", *heads), rows)
    by_line = {case.line: {"livekits": each[0], "ours": each[1]} for case, each in found.items()}
    write_json(options.json, {"machine": machine(), "holes_s": by_line})


if __name__ == "__main__":
    main()
