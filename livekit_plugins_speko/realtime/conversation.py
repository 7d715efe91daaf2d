"""The state machine of a call: events of a connection in, LiveKit's events out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from livekit.agents import llm

from ..api.realtime_events import (
    Audio,
    Error,
    Interruption,
    RealtimeEvent,
    ToolCall,
    Transcript,
    TurnComplete,
    Usage,
)
from ..api.timing import Timing
from ..log import logger
from .generation import Generation
from .history import History
from .outbox import MOST_AGAIN_S, Command, Outbox
from .replies import Replies
from .reports import Reports
from .requests import ReplyRequests
from .speech import CallerSpeech
from .tool_flow import ToolFlow
from .transcripts import CallerLines
from .turn import Turn

LINE_WAIT_S = 2.0
"""Longest wait, in seconds, for the final of a line whose reply has begun."""


class Conversation:
    """One call's turns, whatever becomes of its connections. Used by one task."""

    def __init__(
        self, emit: Callable[[Any, Any], Any], outbox: Outbox, reports: Reports, history: History
    ) -> None:
        """Begin without a turn.

        Args:
            emit: LiveKit's ``emit`` of the session.
            outbox: Takes what is to be sent.
            reports: Takes what is to be reported.
            history: Takes what is said.
        """
        self._emit = emit
        self._outbox = outbox
        self._history = history
        self.requests = ReplyRequests(self.abandon)
        self.replies = Replies(self, self.requests, reports, history)
        self.lines = CallerLines(self)
        self.tools = ToolFlow(self.replies, outbox, history)
        self._speech = CallerSpeech(emit)
        self.turn = Turn(self.lines)
        # Makes a line final whose reply has begun. None without one.
        self._line_timer: asyncio.TimerHandle | None = None

    @property
    def is_quiet(self) -> bool:
        """Return True if nothing is said, played or under way: a good moment for a new session."""
        return not (
            self.replies.current is not None
            or self.replies.playback.left_s > 0
            or self._speech.is_under_way
            or self.lines.is_open
            or self.tools.calls.are_open
            or self.replies.is_requested
            or self.tools.is_reply_due
        )

    def take(self, event: RealtimeEvent) -> bool:
        """Take an event of the connection; return True if it is real traffic."""
        self.requests.note_cancelled()
        if isinstance(event, Audio):
            self.replies.audio(event)
        elif isinstance(event, Transcript):
            self._take_transcript(event)
        elif isinstance(event, ToolCall):
            self._outbox.confirm()
            self.tools.take(event)
        elif isinstance(event, Usage):
            self.replies.usage(event)
        elif isinstance(event, TurnComplete):
            self.replies.turn_complete()
        elif isinstance(event, Interruption):
            self._take_interruption()
        elif isinstance(event, Error):
            return False
        else:
            logger.debug("a tool of the service", extra={"event": event.type})
            return False
        return True

    def fail_request(self, error: Error) -> bool:
        """Fail the reply that was requested, if one was; an error of the service is about it."""
        request = self.requests.pending
        if request is None or not request.is_sent:
            return False
        self.requests.fail(llm.RealtimeError(error.message, code=error.code))
        return True

    def _take_transcript(self, event: Transcript) -> None:
        if event.role == "assistant":
            self.replies.words(event)
        elif event.text.strip():
            self._take_words(event)
        elif event.final:
            self.lines.finish()
            self._speech.stop()

    def _take_words(self, event: Transcript) -> None:
        if self.lines.repeats(event.text):
            if self.lines.is_heard_again:
                self.lines.forget()
                self.turn.words_came(is_late=False)
            return
        self.tools.calls.caller_spoke()
        is_received = self.replies.current is not None
        is_heard = is_received or self.replies.playback.left_s > 0
        is_late = self.turn.is_late(event, is_received=is_received, is_heard=is_heard)
        self.turn.words_came(is_late=is_late)
        if not is_late and not self._speech.is_under_way:
            self._start_speech()
        self.lines.take(event.text, final=event.final)
        if event.final:
            self._speech.stop()
            self.replies.late.end()
            if not is_late:
                self.replies.due = Timing()
        else:
            self._speech.note_words()

    def _take_interruption(self) -> None:
        self.replies.late.interrupted()
        if self.turn.is_answered:
            self.lines.finish()
        if not self._speech.is_under_way:
            self._start_speech()
        else:
            self.replies.cut()

    def commit(self) -> bool:
        """Note that the caller's turn is committed; return False if its reply has begun."""
        if self.replies.current is not None:
            return False
        self.turn.is_committed = True
        self.replies.due = Timing()
        return True

    def interrupt(self) -> None:
        """Cancel the reply, for LiveKit. One that the service cut needs no message."""
        self.tools.interrupted()
        if self.replies.cut():
            self._outbox.push(Command(kind="interrupt"))

    def abandon(self) -> None:
        """Cancel a reply that was requested and has not begun."""
        self.turn.is_committed = False
        self.replies.late.abandon()
        if not self._speech.is_under_way:  # else the service has cancelled it
            self._outbox.push(Command(kind="interrupt"))

    def drop(self, reason: str, *, lost: bool = False) -> None:
        """End what is under way, since its connection is gone.

        What the caller said without a reply is sent again, and its words, which then come once
        more, are not reported again. If the connection was `lost`, the latest audio is sent again
        in any case: the service may not have noticed yet that the caller speaks.
        """
        self.replies.drop()
        self.requests.fail(llm.RealtimeError(reason, code="connection_lost"))
        unanswered_s = 0.0 if self.turn.is_answered else self.lines.unanswered_s
        if unanswered_s > MOST_AGAIN_S:  # a part of it would be another line
            unanswered_s = 0.0
        self.lines.finish()
        self.lines.forget()
        if unanswered_s:
            self.lines.hear_again()
        if lost or unanswered_s:
            self._outbox.rewind(unanswered_s)
        else:
            self._outbox.confirm()
        self._speech.stop()
        self.tools.lose()
        self.turn.drop()
        self._cancel_line_timer()

    def close(self) -> None:
        """End the call. No event follows."""
        self.drop("the session is closed")
        self._outbox.drop_audio()
        self.tools.close()

    def on_line(self, line: llm.InputTranscriptionCompleted) -> None:
        """Report the caller's words."""
        if line.is_final:
            self._cancel_line_timer()
            self._history.add(
                llm.ChatMessage(
                    id=line.item_id,
                    role="user",
                    content=[line.transcript],
                    created_at=line.turn_started_at or time.time(),
                )
            )
        self._emit("input_audio_transcription_completed", line)

    def on_reply(self, reply: Generation) -> None:
        """End the caller's turn, whose reply begins."""
        self._outbox.confirm()
        is_own = not reply.event.user_initiated and not self.tools.is_reply_due
        self.turn.reply_began(reply, is_own=is_own)
        self.tools.reply_began()
        self._speech.stop()
        self.lines.reply_began()
        self._cancel_line_timer()
        if self.lines.is_open:
            loop = asyncio.get_running_loop()
            self._line_timer = loop.call_later(LINE_WAIT_S, self.lines.finish)

    def on_reply_event(self, event: llm.GenerationCreatedEvent) -> None:
        """Report a reply."""
        self._emit("generation_created", event)

    def on_reply_end(self) -> None:
        """Make a line final that had none until its reply's end."""
        self.lines.reply_ended()

    def _start_speech(self) -> None:
        self.replies.cut()
        if self.requests.overtake():
            self.replies.late.overtaken()
        self.tools.interrupted()
        self.lines.begin()
        self.turn.speech_began()
        self._speech.start()

    def _cancel_line_timer(self) -> None:
        if self._line_timer is not None:
            self._line_timer.cancel()
            self._line_timer = None
