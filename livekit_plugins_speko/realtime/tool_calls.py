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

STILL_RUNNING = (
    "The tool is still running. Do not call it again, and do not make up its result, which follows."
)
"""Result of a call whose tool takes too long to wait for."""

_NON_BLOCKING = "__livekit_agents_tool_non_blocking"
_FINAL = "_final"
_UPDATE = "_update_"


@dataclass(frozen=True, kw_only=True)
class Result:
    """A result to send."""

    call_id: str
    name: str
    output: str


@dataclass(kw_only=True)
class _OpenCall:
    """A call without a result.

    Attributes:
        call: LiveKit's own object, which says if its tool continues in the background.
        made_at: Time at which it was made. LiveKit changes the call's own as it starts the tool.
        progress: What the tool reported last, or None.
        was_interrupted: True once the reply that it is part of may have been interrupted.
    """

    call: llm.FunctionCall
    made_at: float
    progress: str | None = None
    was_interrupted: bool = False


class ToolCalls:
    """Calls that the model made on one connection. Used by one task.

    The first output of a tool that continues in the background is a placeholder, with the id of
    the call. The final one has an id of its own, ``<call_id>_final``, and so has progress in
    between, ``<call_id>_update_<n>``. Since a call has one result, the final one is waited for.
    """

    def __init__(self) -> None:
        # Calls without a result, by their ids.
        self._open: dict[str, _OpenCall] = {}
        # Calls since the caller's last word.
        self._in_a_row = 0
        # Calls whose results come too late: their connection is gone, or they were given up.
        self._late: dict[str, llm.FunctionCall] = {}

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
        self._open[call.call_id] = _OpenCall(call=call, made_at=call.created_at)

    def interrupt(self) -> None:
        """Note that the replies so far are interrupted."""
        for each in self._open.values():
            each.was_interrupted = True

    def skip(self) -> list[Result]:
        """Return results for the calls that were interrupted and that LiveKit has not started.

        It never starts those of a reply that was interrupted before its turn came.
        """
        skipped = [
            Result(call_id=call_id, name=each.call.name, output=SKIPPED)
            for call_id, each in self._open.items()
            if each.was_interrupted and each.call.created_at == each.made_at
        ]
        for result in skipped:
            del self._open[result.call_id]
        return skipped

    def give_up(self, call_id: str) -> Result:
        """Return a result for an open call whose own takes too long: how far the tool is."""
        given_up = self._open.pop(call_id)
        self._late[call_id] = given_up.call
        return Result(
            call_id=call_id, name=given_up.call.name, output=given_up.progress or STILL_RUNNING
        )

    def lose(self) -> None:
        """Note that the connection is gone, and with it whoever waits for results."""
        self._late.update({call_id: each.call for call_id, each in self._open.items()})
        self._open.clear()

    def take(self, output: llm.FunctionCallOutput) -> Result | None:
        """Return what to send for an output of LiveKit's.

        Returns:
            The result, or None where it is no result yet, or the model made no such call.
        """
        call_id, kind = self._split(output.call_id)
        each = self._open.get(call_id)
        if each is None:
            return None
        if kind == _UPDATE or (kind != _FINAL and each.call.extra.get(_NON_BLOCKING)):
            each.progress = output.output
            return None
        del self._open[call_id]
        return Result(call_id=call_id, name=each.call.name, output=output.output)

    def take_late(self, output: llm.FunctionCallOutput, *, is_foreign: bool) -> bool:
        """Return True, once, for the result of a call that has its answer or no connection.

        Args:
            output: One that `take` had no use for.
            is_foreign: True if its call was made in a session before this one.
        """
        call_id, kind = self._split(output.call_id)
        if call_id in self._open:
            return False
        call = self._late.pop(call_id, None)
        if call is None:
            return is_foreign or kind == _FINAL
        if kind == _UPDATE or (kind != _FINAL and call.extra.get(_NON_BLOCKING)):
            self._late[call_id] = call
            return False
        return True

    def is_progress(self, output: llm.FunctionCallOutput) -> bool:
        """Return True for a report of a tool in the background that is not its first."""
        return self._split(output.call_id)[1] == _UPDATE

    def is_final(self, output: llm.FunctionCallOutput) -> bool:
        """Return True for the last output of a tool that continued in the background."""
        return self._split(output.call_id)[1] == _FINAL

    def _split(self, call_id: str) -> tuple[str, str]:
        """Split an output's id into its call's and what LiveKit added, without the number."""
        if call_id in self._open or call_id in self._late:
            return call_id, ""
        if call_id.endswith(_FINAL):
            return call_id.removesuffix(_FINAL), _FINAL
        base, update, number = call_id.rpartition(_UPDATE)
        return (base, _UPDATE) if update and number.isdecimal() else (call_id, "")
