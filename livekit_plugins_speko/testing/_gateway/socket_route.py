"""A route whose answers are WebSockets."""

from __future__ import annotations

from typing import Generic, TypeVar

from .connection import SocketConnection
from .route import Route
from .waiting import Changes, within

C = TypeVar("C", bound=SocketConnection)


class SocketRoute(Route, Generic[C]):
    """The answers of a WebSocket route: scripted as on other routes, one step per connection.

    Attributes:
        connections: The connections that were opened, in order; refused ones are not among them.
    """

    def __init__(self, name: str) -> None:
        """Make a route that expects no connection.

        Args:
            name: The route's name.
        """
        super().__init__(name)
        self.connections: list[C] = []
        # Notified with each connection.
        self._changes = Changes()

    async def connected(self, *, count: int = 1, within_s: float = 10.0) -> C:
        """Wait until `count` connections have been opened.

        Args:
            count: The number of connections since the gateway started.
            within_s: The longest wait, in seconds.

        Returns:
            The last of them.

        Raises:
            TimeoutError: They were not opened in time.
        """
        enough = self._changes.until(lambda: len(self.connections) >= count)
        await within(enough, within_s, f"connection {count} to {self.name}")
        return self.connections[count - 1]

    def add(self, connection: C) -> None:
        """Note an open connection. The gateway calls it.

        Args:
            connection: The connection.
        """
        self.connections.append(connection)
        self._changes.notify()
