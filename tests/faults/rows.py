"""A row of the matrix: a fault, and the result expected of it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from livekit.agents import APIError, APIStatusError, APITimeoutError

from livekit_plugins_speko.testing import Answer, Latency
from tests.faults.stages import Heard, Stage

ALL = "all of it, once"
HALF = "the first half"
NOTHING = "nothing"

IN_TIME_S = 5.0
IMPATIENT_S = 0.4
# Far above the waits of a test, far below any other bound.
SOON_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fault in one stage, and the result expected of it.

    Attributes:
        fault: Its name in the table.
        stage: Where it occurs.
        answer: What the service does. None: it lets nobody in.
        hangs: Whether it then refuses no connection either, and leaves the caller to wait.
        mended: The answer that mends it, where it isn't the stage's own.
        error: The error that LiveKit sees, as `shown` has it; empty when there is none.
        retried: Whether LiveKit tries again.
        heard: What is heard when every answer has the fault.
        patience_s: LiveKit's ``conn_options.timeout``.
        at_least_s: How long the call takes at least, in seconds.
        latency: How slow the service is.
        said: What a whole answer says, where it isn't the stage's own.
        options: Options of the adapter.
        alike: Whether what was heard is what was said.
    """

    fault: str
    stage: Stage
    answer: Answer | None
    hangs: bool = False
    mended: Answer | None = None
    error: str = ""
    retried: bool = False
    heard: str = NOTHING
    patience_s: float = IN_TIME_S
    at_least_s: float = 0.0
    latency: Latency = field(default_factory=Latency)
    said: Heard | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    alike: Callable[[Heard, Heard], bool] = operator.eq


def shown(error: APIError) -> str:
    """An error in the table: LiveKit's class, the status, and the code or the type of its cause."""
    told = type(error).__name__
    if isinstance(error, APITimeoutError):
        return told
    if isinstance(error, APIStatusError):
        told += f" {error.status_code}"
    cause = error.__cause__
    return f"{told}, {getattr(cause, 'code', None) or type(cause).__name__}"


def each(rows: Sequence[Any]) -> pytest.MarkDecorator:
    """One test for each row."""
    return pytest.mark.parametrize("row", rows, ids=[row.fault for row in rows])
