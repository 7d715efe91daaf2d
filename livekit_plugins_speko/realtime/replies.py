"""The reply under way: its beginning, its end, and what comes too late."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from livekit.agents import llm

from ..api.realtime_events import Audio, Transcript, Usage
from ..api.timing import Timing
from .generation import Generation
from .history import History
from .late_rest import LateRest
from .playback import Playback, cut_text
from .reports import Reports
from .requests import ReplyRequests

SILENCE_S = 2.0
"""A reply without an end is over after so many seconds without audio, counted from the moment
what was received has been played."""

TEXT_WAIT_S = 0.5
"""Longest wait, in seconds, for the words of a reply whose audio is complete."""

CALLS_WAIT_S = 0.05
"""Longest wait, in seconds, for another tool call beside one: LiveKit runs them together."""

REMEMBERED = 8
"""Replies that may still wait in LiveKit's queue when a caller barges in."""


class Listener(Protocol):
    """Takes the beginning of a reply."""

    def on_reply(self, reply: Generation) -> None:
        """Take a reply that begins. Its event is emitted after this returns."""

    def on_reply_event(self, event: llm.GenerationCreatedEvent) -> None:
        """Take the event of a reply."""

    def on_reply_end(self) -> None:
        """Take the end of a reply."""


class Replies:
    """Turns audio, words and calls into replies. Used by one task.

    Each way in which a reply can end leads through `_end`, which closes its streams.
    """

    def __init__(
        self, listener: Listener, requests: ReplyRequests, reports: Reports, history: History
    ) -> None:
        """Begin without a reply."""
        self._listener = listener
        self._requests = requests
        self._reports = reports
        self._history = history
        self.late = LateRest()
        self.playback = Playback()
        # The reply under way. None between two.
        self.current: Generation | None = None
        # Stopwatch of the reply that is due: since the caller's last word, say. None without one.
        self.due: Timing | None = None
        # True once the reply's audio is complete and only words may come.
        self._is_ending = False
        # Ends the reply. None without one.
        self._timer: asyncio.TimerHandle | None = None
        # Time of the loop's clock at which the latest piece of it came.
        self._latest_at = 0.0
        # The replies before, newest last.
        self._past: deque[Generation] = deque(maxlen=REMEMBERED)

    @property
    def is_requested(self) -> bool:
        """Return True while a reply that was requested has not begun."""
        return self._requests.pending is not None

    def audio(self, event: Audio) -> None:
        """Take audio."""
        if self.late.takes():
            return
        if self._is_ending:
            self._end()
        reply = self.current or self.begin()
        self.playback.add(reply.push_audio(event.pcm, event.sample_rate))
        self._touch()

    def words(self, event: Transcript) -> None:
        """Take the agent's words."""
        text = event.text
        if self.late.takes() or not text.strip():
            return
        if self.current is None and self._completes_past(event):
            return
        reply = self.current or self.begin()
        reply.push_text(text, final=event.final)
        self._touch()
        if self._is_ending and event.final:
            self._end()

    def call(self, call: llm.FunctionCall) -> None:
        """Take a tool call. It ends the reply, since LiveKit sends results after its end."""
        self.late.end()
        reply = self.current or self.begin()
        reply.push_call(call)
        is_complete = not reply.has_message or reply.text_is_final
        self._end_soon(CALLS_WAIT_S if is_complete else TEXT_WAIT_S)

    def usage(self, usage: Usage) -> None:
        """Take the usage of a reply, and with it the reply's end."""
        is_stale = self.late.owes_usage and not (self.current and self.current.text_is_final)
        self.late.owes_usage = False
        self.late.end()
        self._reports.usage(usage, None if is_stale else self.current)
        if self.current is not None and not is_stale:
            self._complete()

    def turn_complete(self) -> None:
        """Take the end of a reply."""
        if self.late.owes_usage or self.current is None:
            self.late.owes_usage = False
            self.late.end()
        else:
            self._end()

    def cut(self) -> bool:
        """End the reply because someone barged in; return True if it was still being received.

        Replies in LiveKit's queue of which nothing was played will not be either.
        """
        for past in self._past:
            if past.has_message and not past.was_begun:
                self._history.cut(past.message_id)
        self.playback.cut()
        if self.current is None:
            return False
        self._history.cut(self.current.message_id)
        self.late.cut()
        self._end(cancelled=True)
        return True

    def hear(self, message_id: str, text: str, played_s: float) -> None:
        """Note how much of a reply that was cut was heard.

        An output that does not time its words reports the whole text: what was heard of it is told
        by the audio that was played.
        """
        for reply in self._past:
            if reply.message_id == message_id and text.strip() == reply.text.strip():
                text = cut_text(text, played_s, reply.audio_s)
        self._history.hear(message_id, text)

    def drop(self) -> None:
        """End the reply because its connection is gone. What came of it is played."""
        self._end()
        self.late.reset()
        self._reports.flush()

    def show_end(self) -> None:
        """Let LiveKit see a reply without content: without one it would wait for ever."""
        self.begin()
        self._end()

    def begin(self) -> Generation:
        """Begin a reply: the one that was requested, or one of the model's own."""
        timing, self.due = self.due or Timing(), None
        reply = Generation(user_initiated=self._requests.is_due, timing=timing)
        self.current = reply
        self._listener.on_reply(reply)
        self._requests.resolve(reply.event)
        self._listener.on_reply_event(reply.event)
        self._touch()
        return reply

    def _complete(self) -> None:
        """End the reply, as soon as its words are complete."""
        assert self.current is not None
        if self.current.text_is_final or not self.current.has_message:
            self._end()
        else:
            self._end_soon(TEXT_WAIT_S)

    def _end_soon(self, within_s: float) -> None:
        assert self.current is not None
        self._is_ending = True
        self.current.end_audio()
        self._set_timer(within_s, self._end)

    def _end(self, *, cancelled: bool = False) -> None:
        reply, self.current = self.current, None
        self._is_ending = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if reply is None:
            return
        reply.close(cancelled=cancelled)
        self._past.append(reply)
        self._remember(reply, reply.text)
        self._reports.ended(reply)
        self._listener.on_reply_end()

    def _remember(self, reply: Generation, text: str) -> None:
        if text:
            self._history.add(
                llm.ChatMessage(
                    id=reply.message_id,
                    role="assistant",
                    content=[text],
                    created_at=reply.began_at,
                )
            )

    def _completes_past(self, event: Transcript) -> bool:
        """Return True for words of the reply that ended last, whose final may come late."""
        past, text = next((each for each in reversed(self._past) if each.text), None), event.text
        if past is None:
            return False
        if event.final and past.text.endswith(text) and not (past.text_is_final or past.cancelled):
            past.text_is_final = True
            return True
        is_latest = self.due is None and past is self._past[-1]
        if is_latest and text.startswith(past.text):
            self._remember(past, text)
            return True
        return is_latest and past.text.startswith(text)

    def _touch(self) -> None:
        """Note that a piece came. The timer looks for itself, it is not set for each piece."""
        loop = asyncio.get_running_loop()
        self._latest_at = loop.time()
        if self._timer is None:
            self._set_timer(SILENCE_S, self._check_silence)

    def _check_silence(self) -> None:
        since_latest_s = asyncio.get_running_loop().time() - self._latest_at
        left_s = max(-since_latest_s, self.playback.left_s) + SILENCE_S
        if left_s <= 0:
            self._end()
        else:
            self._set_timer(left_s, self._check_silence)

    def _set_timer(self, seconds: float, action: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, action)
