"""The eager adapter's streams around an STT with bugs."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from livekit.agents import LanguageCode, stt

from livekit_plugins_speko.stt.stream_adapter import SpekoSTTAdapter
from livekit_plugins_speko.testing._gateway.waiting import within
from tests.helpers.eager_calls import (
    END,
    FINAL,
    INTERIM,
    PAUSE,
    PREFLIGHT,
    REST,
    SOME_WORDS,
    START,
    WITHIN_S,
    LoudnessVAD,
    counts,
    listening,
    retracted,
)
from tests.helpers.support import errors_of


class Odd(stt.STT[Any]):
    """Responds to each request with its number.

    Attributes:
        asked: Set by the first request.
        bugs: The requests that fail with what is no fault of a service.
        lost: The requests that end as if somebody had cancelled them.
        stubborn: The requests that wait to be cancelled, and answer then nevertheless.
    """

    def __init__(
        self,
        *,
        bugs: tuple[int, ...] = (),
        lost: tuple[int, ...] = (),
        stubborn: tuple[int, ...] = (),
    ) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self.bugs, self.lost, self.stubborn = bugs, lost, stubborn
        self.asked = asyncio.Event()
        self._requests = 0

    async def _recognize_impl(self, buffer: Any, **options: Any) -> stt.SpeechEvent:
        self._requests += 1
        number = self._requests
        self.asked.set()
        if number in self.bugs:
            raise ArithmeticError("a bug")
        if number in self.lost:
            raise asyncio.CancelledError
        if number in self.stubborn:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        heard = stt.SpeechData(language=LanguageCode("en"), text=f"{number}.")
        return stt.SpeechEvent(FINAL, alternatives=[heard])


def around(odd: Odd) -> SpekoSTTAdapter:
    return SpekoSTTAdapter(stt=odd, vad=LoudnessVAD(), eager=True)


async def test_late_response_of_a_cancelled_request_is_dropped() -> None:
    odd = Odd(stubborn=(1,))
    adapter = around(odd)
    async with listening(adapter) as listener:
        listener.push(SOME_WORDS, PAUSE)
        await odd.asked.wait()
        listener.push(SOME_WORDS, PAUSE, REST)
        await listener.over()
    told = [each for each in listener.summary if each != (PREFLIGHT, "2.")]
    assert told == [START, END, (FINAL, "2.")]
    assert counts(adapter) == (2, 1, 1)


async def test_request_that_ignores_its_cancellation_does_not_block_closing() -> None:
    odd = Odd(stubborn=(1,))
    adapter = around(odd)
    async with listening(adapter) as listener:
        listener.push(SOME_WORDS, PAUSE, REST)
        await listener.until(END)
        await within(listener.stream.aclose(), WITHIN_S, "the stream to close")
    assert listener.summary == [START, END]
    assert counts(adapter) == (1, 0, 1)


@pytest.mark.parametrize("rest", [SOME_WORDS, REST], ids=["goes_on", "ends"])
async def test_bug_in_an_early_request_is_raised_unchanged_and_counted(rest: bytes) -> None:
    odd = Odd(bugs=(1,))
    adapter = around(odd)
    errors = errors_of(adapter)
    with pytest.raises(ArithmeticError):
        async with listening(adapter) as listener:
            listener.push(SOME_WORDS, PAUSE)
            await odd.asked.wait()
            listener.push(rest)
            await listener.ended()
    assert listener.summary == [START, END][: 1 + (rest is REST)]
    assert counts(adapter) == (1, 0, 1)
    assert len(errors) == 1


async def test_bug_clears_the_preflight_text() -> None:
    adapter = around(Odd(bugs=(2,)))
    with pytest.raises(ArithmeticError):
        async with listening(adapter) as listener:
            listener.push(SOME_WORDS, PAUSE)
            await listener.until(PREFLIGHT)
            listener.push(SOME_WORDS, PAUSE)
            await listener.over()
    assert listener.summary == [START, (PREFLIGHT, "1."), *retracted("1."), (INTERIM, "")]
    assert counts(adapter) == (2, 0, 2)


async def test_request_that_cancels_itself_is_repeated_at_the_end() -> None:
    adapter = around(Odd(lost=(1,)))
    async with listening(adapter) as listener:
        listener.push(SOME_WORDS, PAUSE, REST)
        await listener.over()
    assert listener.summary == [START, END, (FINAL, "2.")]
    assert counts(adapter) == (1, 0, 1)
