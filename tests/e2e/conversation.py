"""A call step by step, each with its check."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from examples.agent import GREETING
from examples.engines import Recogniser
from tests.e2e.caller import Caller, Segment
from tests.e2e.checks import Check, Latency
from tests.e2e.ears import Ears
from tests.e2e.microphone import Spoken
from tests.e2e.words import SAID, heard, is_understood, words

StartCheck = Callable[[str], AbstractContextManager[Check]]

GREETED = " ".join(words(GREETING))
TIME_IN_TOKYO = r"\d\d \d\d in tokyo"
# LiveKit's default: how long somebody has to speak before it counts as a barge-in.
MIN_DURATION_S = 0.5
STOPPED_WITHIN_S = 0.5


class Conversation:
    """A caller in a room, and what the agent must do. It owns nothing."""

    def __init__(self, caller: Caller, recogniser: Recogniser, check: StartCheck) -> None:
        """Make one.

        Args:
            caller: Who is in the room.
            recogniser: Understands the agent's voice.
            check: Times a check, by its name.
        """
        self.caller = caller
        self._check = check
        self._recogniser = recogniser

    def check(self, name: str) -> AbstractContextManager[Check]:
        """Time a check; where there are several callers, its name has the caller's."""
        who = self.caller.identity
        return self._check(name if who == "caller" else f"{who}: {name}")

    async def is_answered(self) -> None:
        """The agent joins."""
        with self.check("the job is dispatched, and the agent joins"):
            await self.caller.until("the agent", lambda: bool(self.caller.agents))

    async def is_greeted(self) -> None:
        """The agent greets: in writing, and to be heard."""
        with self.check("the agent greets") as seen:
            began_s = await self.caller.agent_speaks()
            joined_s = self.caller.agents[self.caller.agent]
            seen.seen = f"first sound {began_s - joined_s:.2f} s after it joined"
        await self.is_heard("the greeting", GREETED, began_s)

    async def turn(self, name: str, reply: str) -> Latency:
        """Say a fixture; it is transcribed to the word, and the reply is told and heard.

        Args:
            name: The fixture's.
            reply: A pattern for all words of the reply, as `words` has them.
        """
        spoken = await self.caller.say(name)
        transcript_s = await self.is_transcribed(name, spoken)
        with self.check(f"{name}: the agent replies") as seen:
            began_s = await self.caller.agent_speaks(spoken.ended_s)
            seen.seen = f"first sound {began_s - spoken.ended_s:.2f} s after the caller's last"
        await self.is_heard(name, reply, began_s)
        waits = [(at_s - spoken.ended_s) * 1000 for at_s in (transcript_s, began_s)]
        return Latency(name, "through the room", *waits)

    async def is_transcribed(self, name: str, spoken: Spoken) -> float:
        """The room is told what the caller said, to the word; returns when."""
        caller = self.caller
        with self.check(f"{name}: the caller's words are transcribed") as seen:
            await caller.until("the transcript", lambda: bool(self._finals(spoken)))
            (said,) = self._finals(spoken)
            seen.seen = said.text
            assert words(said.text) == words(SAID[name])
        return said.grew_s[-1]

    async def is_heard(self, what: str, reply: str, began_s: float) -> None:
        """A reply that began at a time is told word by word, and its sound has these words."""
        caller = self.caller
        with self.check(f"{what}: the reply is transcribed as it is spoken") as seen:
            ended_s = await caller.agent_done(began_s)
            # The first words may be told just before their sound is heard.
            told = caller.said_by(caller.agent, began_s - 0.5)
            text = seen.seen = " ".join(segment.text for segment in told)
            assert re.fullmatch(reply, " ".join(words(text))), str(caller)
            assert len({at_s for segment in told for at_s in segment.grew_s}) > 2, str(caller)
        with self.check(f"{what}: the reply is understood by ear") as seen:
            wav = self.ears.wav(began_s - 0.3, ended_s + 0.3)
            seen.seen = await asyncio.to_thread(heard, self._recogniser, wav)
            assert is_understood(text, seen.seen), seen.seen

    async def story_is_broken_off(self, least_s: float = MIN_DURATION_S) -> None:
        """Ask for a story and barge in: it ends there, and the caller is replied to."""
        caller = self.caller
        asked = await caller.say("story")
        await self.is_transcribed("story", asked)
        began_s = await caller.agent_speaks(asked.ended_s)
        spoken = await self.barge_in("barge_in", after_s=3.0, least_s=least_s)
        await self.is_transcribed("barge_in", spoken)
        with self.check("barge_in: the story ends where it was broken off") as seen:
            (story,) = caller.said_by(caller.agent, began_s - 0.5)[:1]
            assert story.text.startswith("Gladly. Once upon a time"), story.text
            assert "nine days" not in story.text
            seen.seen = story.text
        answered_s = await caller.agent_speaks(spoken.ended_s)
        await self.is_heard(
            "barge_in", "we are open from nine to five monday to friday", answered_s
        )

    async def barge_in(self, name: str, after_s: float, least_s: float = MIN_DURATION_S) -> Spoken:
        """Speak while the agent does: it stops, and is silent until the caller is done.

        Args:
            name: The fixture's.
            after_s: When, in seconds from now.
            least_s: How long somebody has to speak before it counts; 0 where a model decides.
        """
        await asyncio.sleep(after_s)
        # Not in the pause between two sentences.
        await self.caller.agent_speaks(time.monotonic(), within_s=2.0)
        spoken = await self.caller.say(name)
        with self.check(f"{name}: the agent's audio stops within 500 ms of a barge-in") as seen:
            stopped_s = self.ears.last_sound(before_s=spoken.ended_s)
            late_s = stopped_s - spoken.started_s
            seen.seen = f"{late_s:.2f} s after its first sound"
            if least_s:
                seen.seen += (
                    f"; {late_s - least_s:.2f} s after {least_s} s of speech, LiveKit's least for "
                    "a barge-in"
                )
            assert late_s < least_s + STOPPED_WITHIN_S
        return spoken

    @property
    def ears(self) -> Ears:
        """What the caller hears."""
        assert self.caller.ears is not None, str(self.caller)
        return self.caller.ears

    def _finals(self, spoken: Spoken) -> list[Segment]:
        said = self.caller.said_by(self.caller.identity, spoken.started_s)
        return [segment for segment in said if segment.final]
