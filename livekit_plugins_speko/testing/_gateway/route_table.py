"""The routes of a gateway by their endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from .endpoint import Endpoint
from .route import Route


class RouteTable:
    """Finds the endpoint and the route of a request.

    Used on one event loop. A new kind of request is one `add` with the endpoint of a new file.
    """

    def __init__(self) -> None:
        """Make a table without routes."""
        # By the route's name, in the order of adding.
        self._entries: dict[str, tuple[Endpoint, Route]] = {}

    def add(self, endpoint: Endpoint, *, json_answers: bool = False) -> Route:
        """Serve one more kind of request.

        Args:
            endpoint: The kind of request.
            json_answers: The form of the route's responses, as for `Route`.

        Returns:
            The route, which has no answers yet.
        """
        route = Route(endpoint.name, json_answers=json_answers)
        self._entries[endpoint.name] = (endpoint, route)
        return route

    def __iter__(self) -> Iterator[Route]:
        """Iterate over the routes in the order of adding."""
        return (route for _, route in self._entries.values())

    def __str__(self) -> str:
        """Return the methods and paths, for messages."""
        return ", ".join(str(endpoint) for endpoint, _ in self._entries.values())

    def get(self, name: str) -> Route | None:
        """Return the route of that name; None if there is none."""
        entry = self._entries.get(name)
        return None if entry is None else entry[1]

    def find(self, method: str, path: str) -> tuple[Endpoint | None, dict[str, str]]:
        """Find the endpoint of a request line.

        Args:
            method: The HTTP method.
            path: The path as it was sent, percent-encoded, without the query.

        Returns:
            The endpoint, None for an unknown path, and the variable segments of the path.
        """
        for endpoint, _ in self._entries.values():
            parameters = endpoint.match(method, path)
            if parameters is not None:
                return endpoint, parameters
        return None, {}
