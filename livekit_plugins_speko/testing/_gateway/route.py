"""The script, the engine and the latency of one route."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from ..answers import Answer
from .request import GatewayRequest
from .writer import Latency


class Engine(Protocol):
    """A source of answers: any `async def` that takes a `GatewayRequest`.

    It is called once per request, also for several requests at once. An answer that streams
    holds an asynchronous generator; the gateway closes it when the client goes away. The engine
    must let `asyncio.CancelledError` pass.
    """

    async def __call__(self, request: GatewayRequest, /) -> Answer:
        """Make the answer to one request that has passed the checks.

        Args:
            request: The request.

        Returns:
            An answer that fits the request's route.
        """
        ...


class Route:
    """The answers of one route: the steps of its script first, then its engine.

    Attributes:
        name: The route's name, as in `GatewayRequest.route`.
        latency: The delays of its responses. A new one counts from the next request on.
        json_answers: True to respond in JSON, as an older service does, instead of an event
            stream. `synthesize` and `tools` have one form only.
    """

    def __init__(self, name: str, *, json_answers: bool = False) -> None:
        """Make a route that expects no request.

        Args:
            name: The route's name.
            json_answers: The form of its responses.
        """
        self.name = name
        self.latency = Latency()
        self.json_answers = json_answers
        # Steps for later requests.
        self._steps: deque[Answer] = deque()
        # Answers once the script is used up; None when later requests are unexpected.
        self._engine: Engine | None = None

    def script(self, *answers: Answer) -> None:
        """Add steps to the script: the next request gets the first, and so on.

        Args:
            answers: One answer per request.

        Raises:
            TypeError: A step is not an answer, or is for another route.
        """
        for answer in answers:
            self._require_fit(answer)
        self._steps.extend(answers)

    def always(self, answer: Answer) -> None:
        """Give the same answer to every request after the script.

        Args:
            answer: The answer. Its content is read once per request.

        Raises:
            TypeError: It is for another route, or its content is an iterator or a generator,
                which is exhausted after one request.
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
        """Let an engine answer every request after the script.

        Args:
            engine: The engine. It replaces an earlier engine or answer.
        """
        self._engine = engine

    @property
    def unused(self) -> tuple[Answer, ...]:
        """The steps of the script that are left."""
        return tuple(self._steps)

    async def answer(self, request: GatewayRequest) -> Answer | None:
        """Take the next step of the script, or ask the engine. The gateway calls it.

        Args:
            request: A request that has passed the checks.

        Returns:
            The answer; None for an unexpected request.

        Raises:
            TypeError: The engine returned no answer, or one for another route.
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
                "such as Transcript, StreamedTranscript, Reply, Speech, ToolRows or Refusal."
            )
        if answer.serves is not None and self.name not in answer.serves:
            raise TypeError(
                f"Route {self.name}: a {type(answer).__name__} answers "
                f"{' and '.join(sorted(answer.serves))} only."
            )
