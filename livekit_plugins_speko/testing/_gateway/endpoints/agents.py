"""`GET /v1/agents/{agent_id}`: the profile of a hosted agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...answers import Answer, Refusal
from ...sessions import JsonAnswer
from ..endpoint import Endpoint
from ..request import GatewayRequest
from ..shapes import record

_NO_QUERY = record({})


def _check(request: GatewayRequest) -> None:
    _NO_QUERY(dict(request.query), "query")


ENDPOINT = Endpoint("agents", "GET", "/v1/agents/{agent_id}", check=_check)


class RegisteredAgents:
    """An engine for the `agents` route that keeps the profiles."""

    def __init__(self) -> None:
        """Make one that has no agent."""
        self._profiles: dict[str, dict[str, Any]] = {}

    def register(self, agent_id: str, profile: Mapping[str, Any]) -> None:
        """Set the profile of an agent, in place of an earlier one.

        Args:
            agent_id: The agent, before percent-encoding.
            profile: Its fields in the wire's spelling; `id` and `name` are added.
        """
        self._profiles[agent_id] = {"id": agent_id, "name": agent_id, **profile}

    def knows(self, agent_id: str) -> bool:
        """Tell if the agent is registered."""
        return agent_id in self._profiles

    async def __call__(self, request: GatewayRequest, /) -> Answer:
        """Return the agent's profile, or a 404 for an unknown agent.

        Args:
            request: A request for an agent.

        Returns:
            The answer.
        """
        profile = self._profiles.get(request.agent_id or "")
        if profile is None:
            return Refusal(
                404,
                f"agent: found {request.agent_id}, expected a registered one",
                "AGENT_NOT_FOUND",
            )
        return JsonAnswer(profile)
