"""One method that takes another one's options, for type checkers and for ``help()``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
Self = TypeVar("Self")


def takes_options_of(
    method: Callable[Concatenate[Self, P], object],
) -> Callable[[Callable[..., R]], Callable[Concatenate[Self, P], R]]:
    """Give the decorated method the parameters of `method`, so that they are declared once."""

    def decorate(decorated: Callable[..., R]) -> Callable[Concatenate[Self, P], R]:
        own = inspect.signature(decorated)
        parameters = list(inspect.signature(method).parameters.values())
        setattr(decorated, "__signature__", own.replace(parameters=parameters))  # noqa: B010
        return decorated

    return decorate
