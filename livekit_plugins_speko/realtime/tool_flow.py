"""Tool calls on their way from the model to LiveKit, and results on their way back."""

from __future__ import annotations

import asyncio

from livekit.agents import llm

from ..api.realtime_events import ToolCall
from ..api.timing import Timing
from ..log import logger
from .history import History
from .outbox import Command, Outbox
from .replies import Replies
from .tool_calls import TOO_MANY, ToolCalls

SKIP_S = 0.5
"""Time, in seconds, in which LiveKit starts the tools that it runs after an interruption."""

PATIENCE_S = 8.0
"""Longest time, in seconds, that the model waits for a result. Some say nothing until they have
it, even if the caller asks."""

BUSY_S = 0.5
"""Time, in seconds, until a call is given up later because the model is talking."""

REPLY_S = 8.0
"""Longest wait, in seconds, for the reply to a tool's result: until then the agent thinks."""


class ToolFlow:
    """Runs the tools of one call. Used by one task."""

    def __init__(self, replies: Replies, outbox: Outbox, history: History) -> None:
        """Run tools as part of `replies`, and send their results with `outbox`."""
        self._replies = replies
        self._outbox = outbox
        self._history = history
        self.calls = ToolCalls()
        # Longest time that the model waits for a result. Tests use a shorter one.
        self.patience_s = PATIENCE_S
        # Answers calls that LiveKit does not run because of an interruption. None without one.
        self._skip_timer: asyncio.TimerHandle | None = None
        # Gives up the calls that run, by their ids.
        self._patience: dict[str, asyncio.TimerHandle] = {}
        # Reports of tools that the model was not given: LiveKit asks for a reply about them.
        self._news: list[str] = []
        # Ends LiveKit's wait for the reply to a result. None without one.
        self._reply_timer: asyncio.TimerHandle | None = None

    @property
    def is_reply_due(self) -> bool:
        """Return True if the model replies without being asked: a result was sent."""
        return self._reply_timer is not None

    def take(self, event: ToolCall) -> None:
        """Have LiveKit run a tool, or refuse to."""
        if self.calls.is_running(event.call_id):
            return
        if not self.calls.admit():
            logger.warning("refused a tool call: too many in a row", extra={"tool": event.name})
            self._send(event.call_id, TOO_MANY)
            return
        call = llm.FunctionCall(
            call_id=event.call_id, name=event.name, arguments=event.arguments or "{}"
        )
        self.calls.add(call)
        self._wait_for(call.call_id, self.patience_s)
        self._replies.call(call)
        self._history.add(call)

    def send_results(self, items: list[llm.ChatItem], *, can_take_text: bool) -> bool:
        """Send the results among `items`; return True if one can only be told a new session.

        Args:
            items: New items of LiveKit's.
            can_take_text: True if the wire takes what a tool reported beside its result.
        """
        is_lost = False
        new = {item.call_id for item in items if isinstance(item, llm.FunctionCall)}
        before = self._history.call_ids - new
        for item in items:
            if not isinstance(item, llm.FunctionCallOutput):
                continue
            if self.calls.is_progress(item):
                self._add_news(item)
            result = self.calls.take(item)
            if result is not None:
                self._send(result.call_id, result.output)
                self.await_reply()
            elif self.calls.take_late(item, is_foreign=item.call_id in before):
                is_lost = self._take_late(item, can_take_text=can_take_text) or is_lost
        return is_lost

    def take_news(self) -> list[str]:
        """Return, once, what tools reported that the model was not given."""
        news, self._news = self._news, []
        return news

    def _take_late(self, output: llm.FunctionCallOutput, *, can_take_text: bool) -> bool:
        """Take a result that comes too late; return True if only a new session can be told it."""
        if not self.calls.is_final(output):
            return True
        if can_take_text:
            self._add_news(output)
        return output.reply_required and not can_take_text

    def _add_news(self, output: llm.FunctionCallOutput) -> None:
        if output.reply_required:  # else LiveKit asks for no reply
            self._news.append(f"{output.name or 'The tool'} ({output.call_id}): {output.output}")

    def await_reply(self) -> None:
        """Note that the model replies by itself: to a result."""
        self._replies.due = Timing()
        self.reply_began()
        loop = asyncio.get_running_loop()
        self._reply_timer = loop.call_later(REPLY_S, self._end_wait)

    def reply_began(self) -> None:
        """Note that the wait is over."""
        if self._reply_timer is not None:
            self._reply_timer.cancel()
            self._reply_timer = None

    def interrupted(self) -> None:
        """Answer the calls that LiveKit does not start any more."""
        if not self.calls.are_open:
            return
        self.calls.interrupt()
        if self._skip_timer is not None:
            self._skip_timer.cancel()
        self._skip_timer = asyncio.get_running_loop().call_later(SKIP_S, self._skip)

    def lose(self) -> None:
        """Note that the connection is gone."""
        self.calls.lose()
        self._news.clear()
        for timer in self._patience.values():
            timer.cancel()
        self._patience.clear()

    def close(self) -> None:
        """End every wait."""
        self.reply_began()
        if self._skip_timer is not None:
            self._skip_timer.cancel()

    def _skip(self) -> None:
        self._skip_timer = None
        for result in self.calls.skip():
            self._send(result.call_id, result.output)

    def _end_wait(self) -> None:
        self._reply_timer = None
        if self._replies.current is None and not self._replies.is_requested:
            logger.warning("no reply followed a tool's result")
            self._replies.show_end()

    def _wait_for(self, call_id: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._patience[call_id] = loop.call_later(seconds, self._give_up, call_id)

    def _give_up(self, call_id: str) -> None:
        """Let the model talk on without a result, which it is told later."""
        if self._replies.current is not None:
            self._wait_for(call_id, BUSY_S)
            return
        result = self.calls.give_up(call_id)
        logger.warning("a tool takes long; the model continues", extra={"tool": result.name})
        self._send(call_id, result.output)
        self.await_reply()

    def _send(self, call_id: str, output: str) -> None:
        if (timer := self._patience.pop(call_id, None)) is not None:
            timer.cancel()
        self._outbox.push(Command(kind="tool_result", call_id=call_id, text=output))
