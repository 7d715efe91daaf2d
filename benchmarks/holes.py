"""The silence between the sentences of a reply, as its listener hears it.

Replies of three sentences, the first half a second long, with LiveKit's `tts.StreamAdapter`, which
requests a sentence once it has the one before, and with `SpekoTTSAdapter`. Then replies that open
with "Sure.", which LiveKit's tokenizer joins to the next sentence and `FirstWordsTokenizer`
releases alone. All replies of a kind are spoken at once.

    .venv/bin/python -m benchmarks.holes [--json FILE]
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from livekit.agents import tts

from benchmarks.common.gateway import API_KEY, Gateway
from benchmarks.common.report import Aim, machine, median, parser, print_table, write_json
from benchmarks.common.setup import voice
from livekit_plugins_speko import Speko

RUNS = 5
REST = (
    "It looks out on the harbour and has a bath.",
    "Breakfast is served from seven until half past ten.",
)
ONE_SENTENCE, SURE = "Yes, there is a room free.", "Sure."
SPEECH_MS = {ONE_SENTENCE: 500, SURE: 400}
TOKEN_S = 0.015
# Between the starts of two replies, so that they do not run in step.
APART_S = 0.23

Arrival: TypeAlias = tuple[float, float]
"""When a frame came, and how long it is, in seconds."""
Holes: TypeAlias = list[float]
"""The silences inside one reply, in seconds."""


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
    Case(SURE, 600, 5),
)


def aims(figures: Any) -> Iterator[Aim]:
    """The goals of this benchmark."""
    for case in CASES:
        replies = figures["holes_s"][case.line]["ours"]
        name = f'holes in a reply that opens with "{case.opening}", {case.speed:g}x, ms'
        yield Aim(name, 30, 1e3 * median(sum(holes) for holes in replies))


async def measured(gateway: Gateway, case: Case) -> tuple[list[Holes], list[Holes]]:
    """Measure each reply of one kind: with LiveKit's adapter, with ours."""
    settings = {"first_audio_ms": case.first_audio_ms, "audio_speed": case.speed}
    url = gateway.line(case.line, speech_ms=SPEECH_MS, **settings)
    livekits = (speak(url, case, False, run * APART_S) for run in range(RUNS))
    ours = (speak(url, case, True, (run + 0.5) * APART_S) for run in range(RUNS))
    found = await asyncio.gather(*livekits, *ours)
    return found[:RUNS], found[RUNS:]


async def speak(url: str, case: Case, ours: bool, wait_s: float) -> Holes:
    """Speak the reply once, token by token."""
    async with Speko(base_url=url, api_key=API_KEY) as speko:
        first_words: Literal["off", "sentence"] = "sentence" if case.opening == SURE else "off"
        adapter = voice(speko, ours=ours, first_words=first_words)
        await asyncio.sleep(wait_s)
        async with adapter.stream() as stream:
            writer = asyncio.create_task(write(stream, case.opening))
            arrivals = [(time.monotonic(), audio.frame.duration) async for audio in stream]
            await writer
        await adapter.aclose()
    return holes_of(arrivals)


async def write(stream: tts.SynthesizeStream, opening: str) -> None:
    """Write the reply as a model does."""
    for word in " ".join((opening, *REST)).split(" "):
        stream.push_text(f"{word} ")
        await asyncio.sleep(TOKEN_S)
    stream.end_input()


def holes_of(arrivals: Iterable[Arrival]) -> Holes:
    """Find the silences that a listener hears.

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
    """Return the median silence of a reply, the median longest hole, and the worst silence."""
    silences = [sum(holes) for holes in replies]
    longest = median(max(holes, default=0.0) for holes in replies)
    return 1e3 * median(silences), 1e3 * longest, 1e3 * max(silences)


def main() -> None:
    """Measure, and print the table."""
    options = parser(__doc__).parse_args()
    with Gateway() as gateway:
        found = {case: asyncio.run(measured(gateway, case)) for case in CASES}
    print(f"{machine()}; {RUNS} replies each, ms of silence; StreamAdapter is LiveKit's\n")
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
