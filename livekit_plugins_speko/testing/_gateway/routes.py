"""How a route is told what to answer: a script, an engine, a latency."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from ..answers import Answer
from .request import GatewayRequest
from .writer import Latency


class Engine(Protocol):
    """Whatever makes answers from requests: any `async def` that takes a `GatewayRequest`.

    It is called once per request, for several requests at once if they come so. An answer that
    is to stream carries an asynchronous generator; the gateway closes it when the client goes
    away. `asyncio.CancelledError` must get through.
    """

    async def __call__(self, request: GatewayRequest, /) -> Answer:
        """Answers one request that has passed the checks.

        Args:
            request: The request.

        Returns:
            An answer that fits the request's route.
        """
        ...


class Route:
    """What one route answers. The steps of its script come first, then its engine.

    Attributes:
        name: `transcribe`, `complete`, `synthesize` or `tools`.
        latency: How slow its answers are. It counts for requests that come after it was set.
        json_answers: Whether it answers in JSON, as an older service does, in place of an event
            stream. `synthesize` and `tools` have one form only.
    """

    def __init__(self, name: str, *, json_answers: bool = False) -> None:
        """Makes a route that expects no request.

        Args:
            name: The route's name.
            json_answers: The form of its answers.
        """
        self.name = name
        self.latency = Latency()
        self.json_answers = json_answers
        # Steps that no request has taken yet.
        self._steps: deque[Answer] = deque()
        # What answers when the script is over; None when nothing does.
        self._engine: Engine | None = None

    def script(self, *answers: Answer) -> None:
        """Adds steps to the script: the next request gets the first, and so on.

        Args:
            answers: One answer per request.

        Raises:
            TypeError: An answer is none, or is for another route.
        """
        for answer in answers:
            self._require_fit(answer)
        self._steps.extend(answers)

    def always(self, answer: Answer) -> None:
        """Gives one answer to every request that comes after the script.

        Args:
            answer: The answer. Its content must be one that can be read again.

        Raises:
            TypeError: It is for another route, or its content is an iterator or a generator,
                which is over after one request.
        """
        self._require_fit(answer)
        for name, value in vars(answer).items():
            if hasattr(value, "__next__") or hasattr(value, "__anext__"):
                raise TypeError(
                    f"Route {self.name}: {name} is {type(value).__name__}, which can be read only "
                    "once. Give always() a list, or make each answer anew in an engine for use()."
                )

        async def same(request: GatewayRequest, /) -> Answer:
            return answer

        self._engine = same

    def use(self, engine: Engine) -> None:
        """Lets an engine answer every request that comes after the script.

        Args:
            engine: It takes the place of the engine or answer set before.
        """
        self._engine = engine

    @property
    def unused(self) -> tuple[Answer, ...]:
        """The steps of the script that no request has taken yet."""
        return tuple(self._steps)

    async def answer(self, request: GatewayRequest) -> Answer | None:
        """Takes the next step of the script, or asks the engine. The gateway calls it.

        Args:
            request: A request that has passed the checks.

        Returns:
            The answer; None when the request is one that nobody expected.

        Raises:
            TypeError: The engine's answer is none, or is for another route.
        """
        if self._steps:
            return self._steps.popleft()
        if self._engine is None:
            return None
        answer = await self._engine(request)
        self._require_fit(answer)
        return answer

    def _require_fit(self, answer: Answer) -> None:
        if not isinstance(answer, Answer):
            raise TypeError(
                f"Route {self.name}: found {type(answer).__name__}, expected an answer "
                "such as Transcript, Reply, Speech, ToolRows or Refusal."
            )
        if self.name not in answer.serves:
            raise TypeError(
                f"Route {self.name}: a {type(answer).__name__} answers "
                f"{' and '.join(sorted(answer.serves))} only."
            )
