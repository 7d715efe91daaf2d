"""Requests replies where the wire of the connection has a message for it."""

from __future__ import annotations

import asyncio

from livekit.agents import llm

from ..api.timing import Timing
from .connections import Connection
from .conversation import Conversation
from .outbox import Command, Outbox
from .requests import ReplyRequest

_NOT_SUPPORTED = (
    "this session's wire takes neither instructions nor text: a reply follows what the caller "
    "says. Use say() with a TTS, or put it into the agent's instructions."
)
_REPLY_NOW = "Reply to the caller now."
"""Instructions of a reply without any: not each wire has a message for one."""


class Requester:
    """Sends what ``generate_reply`` asks for. Used by one task."""

    def __init__(self, conversation: Conversation, outbox: Outbox) -> None:
        """Request replies of `conversation`, with messages in `outbox`."""
        self._conversation = conversation
        self._outbox = outbox

    def request(
        self, instructions: str | None, typed: str | None, connection: Connection | None
    ) -> asyncio.Future[llm.GenerationCreatedEvent]:
        """Request a reply, now or once there is a connection.

        Args:
            instructions: For this reply alone, or None.
            typed: What the user typed, or None.
            connection: The connection, or None between two.
        """
        request = self._conversation.requests.add(instructions, typed)
        if connection is not None:
            self._send(request, connection)
        return request.future

    def send_waiting(self, connection: Connection) -> None:
        """Send the request that waited for the connection."""
        request = self._conversation.requests.pending
        if request is not None and not request.is_sent:
            self._send(request, connection)

    def _send(self, request: ReplyRequest, connection: Connection) -> None:
        refusal = self._refusal(request, connection)
        if refusal is not None:
            self._conversation.requests.fail(refusal)
            return
        replies = self._conversation.replies
        if not self._is_under_way(request):
            if request.text is None:
                text = request.instructions or _REPLY_NOW
                self._outbox.push(Command(kind="reply", text=text))
            else:
                self._outbox.push(
                    Command(kind="text", text=request.text, instructions=request.instructions)
                )
        replies.late.end()
        replies.due = Timing()
        self._conversation.requests.sent(request)

    def _refusal(self, request: ReplyRequest, connection: Connection) -> llm.RealtimeError | None:
        """Return why a request can't be sent, or None."""
        if self._conversation.replies.current is not None:
            return llm.RealtimeError("the model is replying already", code="active_response")
        if not connection.can_take_text and not self._is_under_way(request):
            return llm.RealtimeError(_NOT_SUPPORTED, code="not_supported")
        return None

    def _is_under_way(self, request: ReplyRequest) -> bool:
        """Return True if the model replies anyway: to a tool's result, or a committed turn."""
        if request.text is not None:
            return False
        if self._conversation.tools.is_reply_due:
            return True
        return request.instructions is None and self._conversation.turn.is_committed
