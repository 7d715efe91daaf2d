"""The routes of a gateway by their endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from .endpoint import Endpoint
from .route import Route

R = TypeVar("R", bound=Route)


class RouteTable:
    """Finds the endpoint and the route of a request.

    Used on one event loop. A new kind of request is one `add` with the endpoint of a new file.
    """

    def __init__(self) -> None:
        """Make a table without routes."""
        # By name, in the order of adding.
        self._routes: dict[str, Route] = {}
        # Each has the name of its route.
        self._endpoints: list[Endpoint] = []

    def add(self, endpoint: Endpoint, *, json_answers: bool = False) -> Route:
        """Serve one more kind of request.

        Args:
            endpoint: The kind of request.
            json_answers: The form of the route's responses, as for `Route`.

        Returns:
            The route, which has no answers yet.
        """
        return self.register(Route(endpoint.name, json_answers=json_answers), endpoint)

    def register(self, route: R, *endpoints: Endpoint) -> R:
        """Serve more kinds of request by a route that exists.

        Args:
            route: The route.
            endpoints: The kinds of request, each with the route's name.

        Returns:
            The same route.
        """
        self._routes[route.name] = route
        self._endpoints.extend(endpoints)
        return route

    def __iter__(self) -> Iterator[Route]:
        """Iterate over the routes in the order of adding."""
        return iter(self._routes.values())

    def __str__(self) -> str:
        """Return the methods and paths, for messages."""
        return ", ".join(str(endpoint) for endpoint in self._endpoints)

    def get(self, name: str) -> Route | None:
        """Return the route of that name; None if there is none."""
        return self._routes.get(name)

    def find(self, method: str, path: str) -> tuple[Endpoint | None, dict[str, str]]:
        """Find the endpoint of a request line.

        Args:
            method: The HTTP method.
            path: The path as it was sent, percent-encoded, without the query.

        Returns:
            The endpoint, None for an unknown path, and the variable segments of the path.
        """
        for endpoint in self._endpoints:
            parameters = endpoint.match(method, path)
            if parameters is not None:
                return endpoint, parameters
        return None, {}
