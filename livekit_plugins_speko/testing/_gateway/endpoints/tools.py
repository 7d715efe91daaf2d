"""`GET /v1/agents/{agent_id}/tools`: the tools registered for an agent, and their engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...answers import Answer, Refusal, ToolRows
from ..endpoint import Endpoint
from ..request import GatewayRequest
from ..shapes import one_of, record

_CREATED_AT = "2025-01-01T00:00:00.000Z"
_QUERY = record({"available": one_of("1", "0")})


def _check(request: GatewayRequest) -> None:
    _QUERY(dict(request.query), "query")


ENDPOINT = Endpoint("tools", "GET", "/v1/agents/{agent_id}/tools", check=_check)


class RegisteredTools:
    """An engine for the `tools` route that keeps the rows of each agent."""

    def __init__(self) -> None:
        """Make one that has no agent."""
        # By agent: the rows that could run now, and those that could not.
        self._agents: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {}

    def register(
        self,
        agent_id: str,
        rows: Iterable[Mapping[str, Any]],
        unavailable: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Set the tools of an agent, in place of earlier ones.

        Args:
            agent_id: The agent, before percent-encoding.
            rows: Tools that can run. Missing fields that the service fills in (`id`, `agentId`,
                `source` inline, `createdAt`, `updatedAt`) are added.
            unavailable: Tools that could not run now, in the same form.
        """
        filled = [_filled(row, agent_id, number) for number, row in enumerate(rows, 1)]
        first = len(filled) + 1
        others = [_filled(row, agent_id, number) for number, row in enumerate(unavailable, first)]
        self._agents[agent_id] = (filled, others)

    async def __call__(self, request: GatewayRequest, /) -> Answer:
        """Return the agent's rows, or a 404 for an unknown agent.

        Args:
            request: A request for an agent's tools.

        Returns:
            The rows; with `available=1` only those that could run now.
        """
        found = self._agents.get(request.agent_id or "")
        if found is None:
            known = ", ".join(self._agents) or "none"
            return Refusal(
                404,
                f"agent: found {request.agent_id}, expected a registered one ({known})",
                "NOT_FOUND",
            )
        rows, unavailable = found
        return ToolRows(rows if request.query.get("available") == "1" else rows + unavailable)


def _filled(row: Mapping[str, Any], agent_id: str, number: int) -> dict[str, Any]:
    """Add the service's fields to a row; the row's own values win."""
    defaults = {
        "id": f"tool-{number}",
        "agentId": agent_id,
        "source": {"kind": "inline"},
        "createdAt": _CREATED_AT,
        "updatedAt": _CREATED_AT,
    }
    return {**defaults, **row}
