"""The tool calls of a connection: each is answered exactly once, and a loop of them ends."""

from __future__ import annotations

from dataclasses import dataclass

from livekit.agents import llm

MOST_IN_A_ROW = 10
"""Calls that are run without a word of the caller between them."""

TOO_MANY = (
    "Error: too many tool calls in a row. Do not call a tool again before the caller has spoken; "
    "say what you know."
)
"""Result of a call beyond them."""

SKIPPED = "Error: the tool was not run, because the caller interrupted."
"""Result of a call that was interrupted before it was run."""

_NON_BLOCKING = "__livekit_agents_tool_non_blocking"


@dataclass(frozen=True, kw_only=True)
class Result:
    """A result to send."""

    call_id: str
    name: str
    output: str


class ToolCalls:
    """Calls that the model made on one connection. Used by one task."""

    def __init__(self) -> None:
        # Calls without a result, by their ids.
        self._open: dict[str, llm.FunctionCall] = {}
        # When each of them was made. LiveKit changes a call's own time as it starts the tool.
        self._made_at: dict[str, float] = {}
        # Calls since the caller's last word.
        self._in_a_row = 0
        # Calls of connections that were lost, whose results have no one to go to.
        self._lost: set[str] = set()

    @property
    def are_open(self) -> bool:
        """Return True while a result is due."""
        return bool(self._open)

    def caller_spoke(self) -> None:
        """Count anew."""
        self._in_a_row = 0

    def is_running(self, call_id: str) -> bool:
        """Return True if a call of this id has no result yet."""
        return call_id in self._open

    def admit(self) -> bool:
        """Count a call; return False if it must not be run."""
        self._in_a_row += 1
        return self._in_a_row <= MOST_IN_A_ROW

    def add(self, call: llm.FunctionCall) -> None:
        """Note a call that LiveKit runs."""
        self._open[call.call_id] = call
        self._made_at[call.call_id] = call.created_at

    def skip(self) -> list[Result]:
        """Return results for the calls that LiveKit has not started.

        It never starts those of a reply that was interrupted before its turn came.
        """
        skipped = [
            Result(call_id=call_id, name=call.name, output=SKIPPED)
            for call_id, call in self._open.items()
            if call.created_at == self._made_at[call_id]
        ]
        for result in skipped:
            self._close(result.call_id)
        return skipped

    def _close(self, call_id: str) -> None:
        del self._open[call_id], self._made_at[call_id]

    def lose(self) -> None:
        """Note that the connection is gone, and with it whoever waits for results."""
        self._lost.update(self._open)
        self._open.clear()
        self._made_at.clear()

    def was_lost(self, output: llm.FunctionCallOutput) -> bool:
        """Return True, once, for the result of a call whose connection is gone."""
        if output.call_id not in self._lost:
            return False
        self._lost.discard(output.call_id)
        return True

    def take(self, output: llm.FunctionCallOutput) -> Result | None:
        """Return what to send for an output of LiveKit's.

        The first output of a tool that continues in the background is a placeholder. Since a call
        has one result, the final one is sent for it: LiveKit gives it an id of its own,
        ``<call_id>_final``. Progress in between, ``<call_id>_update_<n>``, is not sent.

        Returns:
            The result, or None where the model made no such call or has its result.
        """
        call_id = output.call_id
        call = self._open.get(call_id)
        if call is not None and call.extra.get(_NON_BLOCKING):
            return None
        if call is None:
            call_id = call_id.removesuffix("_final")
            call = self._open.get(call_id)
        if call is None:
            return None
        self._close(call_id)
        return Result(call_id=call_id, name=call.name, output=output.output)
