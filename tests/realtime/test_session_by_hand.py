"""A session without an agent: what it does unused, closed, and when its connector has a bug."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import llm
from spekoai import AsyncSpeko

from livekit_plugins_speko import SpekoRealtimeModel
from livekit_plugins_speko.testing._gateway.waiting import Changes, within
from tests.helpers.realtime_calls import QUICK, WITHIN_S, calling, clock, speech
from tests.helpers.support import frame


class _BrokenClient(AsyncSpeko):
    """A client whose `connect_realtime` has a bug."""

    async def connect_realtime(self, options: Any) -> Any:
        raise KeyError("bug")


async def test_unused_session_closes_and_takes_nothing_afterwards() -> None:
    async with calling() as call:
        session = call.model.session()
        await session.aclose()
        session.push_audio(frame(speech(0.1)))
        await session.update_instructions("Be brief.")
        await session._update_session(instructions="Be brief.")
        links = [task for task in asyncio.all_tasks() if task.get_name() == "speko_realtime"]
        assert len(links) == 1, "the call's own"
        assert not session._outbox._items
        await session.aclose()


async def test_request_starts_a_session_that_nobody_configured() -> None:
    async with calling() as call:
        session = call.model.session()
        with pytest.raises(llm.RealtimeError, match="takes neither instructions nor text"):
            await within(session.generate_reply(), WITHIN_S, "the refusal")
        await session.aclose()


async def test_session_has_the_tools_of_its_agent() -> None:
    async with calling(agent=clock()) as call:
        assert list(call.realtime.tools.function_tools) == ["get_time"]


async def test_cleared_audio_is_not_committed() -> None:
    async with calling() as call:
        call.microphone.push(speech(0.1))
        await call.line.until(lambda: len(call.line.audio) > 0)
        call.realtime.clear_audio()
        call.realtime.commit_audio()
        await call.reply("Hello.")
        assert not call.line.messages


async def test_video_is_ignored_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    async with calling() as call:
        picture = rtc.VideoFrame(2, 2, rtc.VideoBufferType.RGBA, bytes(16))
        call.realtime.push_video(picture)
        call.realtime.push_video(picture)
    assert [each.message for each in caplog.records if "video" in each.message] == [
        "the service takes no video for speech to speech"
    ]


async def test_bug_of_a_client_ends_the_session_with_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    changes, errors = Changes(), list[llm.RealtimeModelError]()
    client = _BrokenClient(api_key="key")
    model = SpekoRealtimeModel(speko=client, provider="xai", model="voice-1", conn_options=QUICK)
    session = model.session()
    session.on("error", errors.append)
    session.on("error", lambda _: changes.notify())
    await session.update_instructions("Be brief.")
    with caplog.at_level(logging.ERROR):
        await within(changes.until(lambda: bool(errors)), WITHIN_S, "the error")
    assert not errors[0].recoverable
    assert isinstance(errors[0].error, KeyError)
    assert "the realtime session failed" in caplog.text
    await session.aclose()
    await model.aclose()
    await client.close()
