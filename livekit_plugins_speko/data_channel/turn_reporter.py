"""Reports a conversation to Speko, in the background of its call."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from livekit.agents import AgentSession, APIError, APIStatusError, ConversationItemAddedEvent, llm

from .._aio import timeout
from .._checks import check_session_id
from .._faults import to_livekit_error
from ..log import logger

DEBOUNCE_S = 0.2
"""Time after a turn in which further turns join its post, in seconds."""

CLOSE_S = 5.0
"""Longest time that `TurnReporter.aclose` takes, in seconds."""

POST_S = 10.0
"""Longest time that one post may take, in seconds. Then it is tried again."""

FIRST_RETRY_S = 0.5
LAST_RETRY_S = 30.0
"""Shortest and longest wait before another try, in seconds."""

MAX_TURN_CHARS = 16_384
"""Most characters of a turn that the service takes. The rest is left out."""

MAX_TURNS_A_POST = 200
"""Most turns that the service takes in one post."""

MAX_CHARS_A_POST = 65_536
"""Most characters of a post with several turns, so that writing it does not hold up the loop."""

MAX_WAITING_TURNS = 1_000
"""Most turns that wait for a service that is down. Then the oldest are left out."""

FATAL_STATUSES = frozenset({400, 401, 402, 403, 404})
"""Statuses that no retry changes: they end the reporting."""

_SOURCES = {"user": "user", "assistant": "agent", "system": "system", "developer": "system"}


@dataclass
class _Turn:
    """A turn on its way.

    Attributes:
        wire: The turn, in the wire's spelling.
        created_at: Its Unix time in the session's history.
        posted: A post has held it: its index stays.
    """

    wire: dict[str, Any]
    created_at: float
    posted: bool = False


class TurnReporter:
    """Hands a session's conversation to Speko, while it happens, for its transcript there.

    Messages alone are reported: what the caller said or wrote, and each reply as far as it was
    heard. It never delays the call: turns are collected and posted by a task of its own, which it
    owns. A failure is logged once and tried again; a status of 400, 401, 402, 403 or 404 ends the
    reporting. Make one for each session, and close it after the session.
    """

    def __init__(self, *, speko: Any, session_id: str) -> None:
        """Report to a session of the service.

        Args:
            speko: The client, a `Speko`. It stays the caller's: close it after this object.
            session_id: The session, such as `SessionSettings.session_id`.

        Raises:
            TypeError: A client that cannot report turns.
            ValueError: An id that names no session.
        """
        post = getattr(getattr(speko, "sessions", None), "report_turns", None)
        if not callable(post):
            raise TypeError(
                "TurnReporter: speko must be a Speko, got "
                f"{type(speko).__name__}, which has no sessions.report_turns()."
            )
        check_session_id("TurnReporter: session_id", session_id)
        if session_id is None or not session_id.strip():
            raise ValueError(
                f"TurnReporter: session_id must be the id of a session, got {session_id!r}."
            )
        self._post = post
        self._session_id = session_id.strip()
        # The session that is reported. None before `start`.
        self._session: AgentSession[Any] | None = None
        # Turns to be sent, oldest first; those of a post under way stay until it succeeds.
        self._waiting: deque[_Turn] = deque()
        # Index of the next turn.
        self._next_index = 0
        # Set while turns wait, or once no more will come.
        self._wake = asyncio.Event()
        # Set once no further turn is taken.
        self._stop = asyncio.Event()
        # True once a failure was logged.
        self._logged = False
        # Posts the turns. None before `start`.
        self._task: asyncio.Task[None] | None = None

    def start(self, session: AgentSession[Any]) -> None:
        """Report what is added to the session's history from now on. Call it before the session's.

        Raises:
            RuntimeError: It was started already, or closed.
        """
        if self._session is not None or self._stop.is_set():
            raise RuntimeError("TurnReporter: started or closed already; make one a session.")
        self._session = session
        session.on("conversation_item_added", self._on_item)
        self._task = asyncio.create_task(self._run(), name="speko_turn_reporter")

    async def aclose(self) -> None:
        """Send what is left, within 5 seconds, and stop. Safe to call twice."""
        self._stop.set()
        self._wake.set()
        if self._session is not None:
            self._session.off("conversation_item_added", self._on_item)
        if self._task is None:
            return
        try:
            await asyncio.wait([self._task], timeout=CLOSE_S)
        finally:
            if not self._task.done():
                self._task.cancel()
                await asyncio.wait([self._task])
        if self._waiting:
            self._log("turns of the conversation were not reported to Speko", None)

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        """Note a message of the history."""
        item = event.item
        if self._stop.is_set() or not isinstance(item, llm.ChatMessage):
            return
        turn = build_turn(item, self._next_index)
        if turn is None:
            return
        self._next_index += 1
        if len(self._waiting) >= MAX_WAITING_TURNS:
            self._waiting.popleft()
        self._add(_Turn(turn, item.created_at))
        self._wake.set()

    def _add(self, turn: _Turn) -> None:
        """Add a turn in the history's order: LiveKit may note words before the reply they cut."""
        self._waiting.append(turn)
        for at in range(len(self._waiting) - 1, 0, -1):
            before = self._waiting[at - 1]
            if before.posted or before.created_at <= turn.created_at:
                return
            self._waiting[at - 1], self._waiting[at] = turn, before
            wire, later = turn.wire, before.wire
            wire["index"], later["index"] = later["index"], wire["index"]

    async def _run(self) -> None:
        """Post turns until none is left after `aclose`, or the service refuses them for good."""
        failures = 0
        while True:
            await self._wake.wait()
            if not self._waiting:
                if self._stop.is_set():
                    return
                self._wake.clear()
                continue
            if not self._stop.is_set():
                await self._pause(DEBOUNCE_S)
            error = await self._send(list(self._batch()))
            if error is None:
                failures = 0
            elif isinstance(error, APIStatusError) and error.status_code in FATAL_STATUSES:
                self._stop.set()
                self._waiting.clear()
                return
            else:
                await self._pause(_backoff_s(failures))
                failures += 1

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than until `aclose`; after it, as briefly as a retry may come."""
        if self._stop.is_set():
            await asyncio.sleep(min(seconds, FIRST_RETRY_S))
            return
        with suppress(TimeoutError, asyncio.TimeoutError):
            async with timeout(seconds):
                await self._stop.wait()

    def _batch(self) -> Iterator[_Turn]:
        """Yield the next turns to post together: at least one."""
        size = 0
        for count, turn in enumerate(self._waiting):
            size += len(turn.wire["text"])
            if count and (count == MAX_TURNS_A_POST or size > MAX_CHARS_A_POST):
                return
            yield turn

    async def _send(self, turns: list[_Turn]) -> APIError | None:
        """Post turns and forget them; return the error that kept them from the service."""
        for turn in turns:
            turn.posted = True
        try:
            async with timeout(POST_S):
                await self._post(self._session_id, [turn.wire for turn in turns])
        except Exception as fault:
            error = to_livekit_error(fault)
            if error is None:
                raise
            self._log("reporting the conversation to Speko failed", error)
            return error
        sent = {turn.wire["index"] for turn in turns}
        while self._waiting and self._waiting[0].wire["index"] in sent:
            self._waiting.popleft()
        return None

    def _log(self, text: str, error: APIError | None) -> None:
        """Log the first failure alone, without the words of the conversation."""
        if self._logged:
            return
        self._logged = True
        status = error.status_code if isinstance(error, APIStatusError) else None
        logger.warning(
            text,
            extra={
                "error": None if error is None else type(error).__name__,
                "status": status,
                "retried": status not in FATAL_STATUSES,
            },
        )


def build_turn(item: llm.ChatMessage, index: int) -> dict[str, Any] | None:
    """Build the turn of a message; None for one that is not part of the conversation.

    Args:
        item: The message. One that was interrupted holds what was heard of it.
        index: Its place in the conversation, from 0.
    """
    text = (item.text_content or "").strip()[:MAX_TURN_CHARS].strip()
    source = _SOURCES.get(item.role)
    if not text or source is None:
        return None
    metrics: Mapping[str, Any] = item.metrics
    started = metrics.get("started_speaking_at") or item.created_at
    turn = {
        "index": index,
        "source": source,
        # Half of a surrogate pair cannot be sent.
        "text": text.encode("utf-8", "replace").decode(),
        "startedAt": _iso(started),
    }
    stopped = metrics.get("stopped_speaking_at")
    if stopped is not None and stopped >= started:
        turn["endedAt"] = _iso(stopped)
    return turn


def _iso(moment: float) -> str:
    """Format a Unix time as ISO 8601, in UTC, to the millisecond."""
    utc = datetime.fromtimestamp(moment, timezone.utc)
    return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _backoff_s(failures: int) -> float:
    """Return the wait before a retry: doubled each time, with jitter between workers."""
    doubled_s: float = FIRST_RETRY_S * 2 ** min(failures, 10)
    return min(LAST_RETRY_S, doubled_s) * random.uniform(0.5, 1.0)
