"""The price of reporting a call's turns: to a service that is well, fails, hangs or is gone.

Written sessions of one process take turns, a few in a row each, so that the posts that a turn
causes fall among the call's own requests. The reporter uses the call's client.

    .venv/bin/python -m benchmarks.reporting [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from livekit.agents import Agent, AgentSession
from livekit.agents.voice.io import TextOutput

from benchmarks.common.gateway import API_KEY, INTENT, Gateway
from benchmarks.common.report import (
    Aim,
    machine,
    median,
    p95,
    parser,
    print_table,
    write_json,
)
from livekit_plugins_speko import Speko, SpekoLLM, TurnReporter

WITHOUT = "without"
# Status of the response to a post, by the state of the service; 0 for none, ever.
STATES = {"well": 202, "fails": 503, "hangs": 0}
GONE = "gone"
FIRST_TOKEN_MS, TOKEN_MS = 30, 1
# Turns in a row: longer than the reporter waits before it posts.
ROW = 5


def aims(figures: Any) -> Iterator[Aim]:
    """The goals of this benchmark."""
    first = {name: median(each) for name, each in figures["first_ms"].items()}
    for state in (*STATES, GONE):
        ratio = first[state] / first[WITHOUT]
        yield Aim(f"first token, turns reported to a service that {said(state)}", 1.1, ratio)


def said(state: str) -> str:
    """A state in a sentence."""
    return f"is {state}" if state in ("well", GONE) else state


class FirstText(TextOutput):
    """Notes when the first text of a reply came."""

    def __init__(self) -> None:
        super().__init__(label="first text", next_in_chain=None)
        # By `time.perf_counter()`; None before it.
        self.came_s: float | None = None

    async def capture_text(self, text: str) -> None:
        """Note the first."""
        if self.came_s is None:
            self.came_s = time.perf_counter()

    def flush(self) -> None:
        """Do nothing at the end of a reply."""


class WrittenCall:
    """A session without audio, maybe with a reporter."""

    def __init__(self, url: str, reports_to: str | None) -> None:
        self.speko = Speko(base_url=url, api_key=API_KEY)
        self.model = SpekoLLM(speko=self.speko, intent=INTENT)
        self.session = AgentSession[None](llm=self.model)
        self.text = FirstText()
        self.session.output.transcription = self.text
        # None for a call that reports nothing.
        self.reporter: TurnReporter | None = None
        # The reporter's own, where its service is another than the call's.
        self.other: Speko | None = None
        if reports_to is not None:
            if reports_to != url:
                self.other = Speko(base_url=reports_to, api_key=API_KEY)
            self.reporter = TurnReporter(speko=self.other or self.speko, session_id="s-1")
            self.reporter.start(self.session)

    async def turn(self) -> float:
        """Take one turn; return the milliseconds to the first text of the reply."""
        self.text.came_s = None
        began_s = time.perf_counter()
        await self.session.generate_reply(user_input="What is the weather in Paris today?")
        assert self.text.came_s is not None
        return 1e3 * (self.text.came_s - began_s)

    async def aclose(self) -> None:
        """End the call. What waits is not sent: a service that hangs would take its 5 s."""
        await self.session.aclose()
        if self.reporter is not None:
            closing = asyncio.create_task(self.reporter.aclose())
            await asyncio.sleep(0)
            closing.cancel()
            await asyncio.wait([closing])
        await self.model.aclose()
        await self.speko.aclose()
        if self.other is not None:
            await self.other.aclose()


async def measured(gateway: Gateway, rounds: int) -> dict[str, list[float]]:
    """Milliseconds to each first text, by the state of the service that is reported to."""
    settings = {"first_token_ms": FIRST_TOKEN_MS, "token_ms": TOKEN_MS}
    plain = gateway.line(WITHOUT, **settings)
    calls = {WITHOUT: WrittenCall(plain, None)}
    for state, status in STATES.items():
        url = gateway.line(state, turns_status=status, **settings)
        calls[state] = WrittenCall(url, url)
    # Nobody listens at the port 9 of this machine.
    calls[GONE] = WrittenCall(gateway.line(GONE, **settings), "http://127.0.0.1:9")
    for call in calls.values():
        await call.session.start(agent=Agent(instructions="You are brief."))
    first_ms: dict[str, list[float]] = {name: [] for name in calls}
    for index in range(1 + rounds):  # the first opens the connections
        for name, call in calls.items():
            row = [await call.turn() for _ in range(ROW)]
            if index > 0:
                first_ms[name] += row
    for call in calls.values():
        await call.aclose()
    return first_ms


def main() -> None:
    """Measure, and print the table."""
    command = parser(__doc__)
    command.add_argument("--rounds", type=int, default=5, help=f"of {ROW} turns in a row")
    options = command.parse_args()
    with Gateway() as gateway:
        first_ms = asyncio.run(measured(gateway, options.rounds))
        print(f"{machine()}; milliseconds from a message to the first text of the reply\n")
        base = median(first_ms[WITHOUT])
        rows = ((name, median(ms) / base, median(ms), p95(ms)) for name, ms in first_ms.items())
        print_table(("reported to a service that is", f"/ {WITHOUT}", "median", "p95"), rows)
        gateway.print_share()
    write_json(options.json, {"first_ms": first_ms})


if __name__ == "__main__":
    main()
