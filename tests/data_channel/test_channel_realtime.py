"""`SpekoDataChannel` beside a voice model: what of a page's packets it can take, and what not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from livekit_plugins_speko import SpekoDataChannel
from livekit_plugins_speko.testing._gateway.waiting import within
from tests.data_channel.log_events import told
from tests.data_channel.sessions import make_channel
from tests.helpers.fake_room import FakeRoom, contextual_update, overrides, user_message
from tests.helpers.realtime_calls import (
    WITHIN_S,
    RealtimeCall,
    calling,
    google_audio,
    google_words,
    speech,
    xai_audio,
)

QUESTION = user_message()["text"]
CONTEXT = contextual_update()["text"]
NO_EFFECT = "a packet of the caller's page had no effect"


class PageBeside:
    """A page's room beside a session with a voice model."""

    def __init__(self, call: RealtimeCall, room: FakeRoom, channel: SpekoDataChannel) -> None:
        self.call, self.room, self.channel = call, room, channel

    async def echoed(self) -> None:
        """Wait until the page was sent something."""
        while not self.room.published:
            self.room.local_participant.came.clear()
            await self.room.local_participant.came.wait()

    async def acted(self) -> None:
        """Wait until what was sent before has had its effect."""
        self.room.send(user_message("Hello?"))
        await self.echoed()


@asynccontextmanager
async def page_beside(form: str, **options: Any) -> AsyncIterator[PageBeside]:
    """A session with a voice model in one form of the wire, and a page."""
    room = FakeRoom()
    channel = make_channel(room, **options)
    async with calling(form=form) as call:
        channel.start(call.session)
        try:
            yield PageBeside(call, room, channel)
        finally:
            await channel.aclose()


async def test_typed_message_is_answered_aloud() -> None:
    async with page_beside("google") as page:
        page.room.send(user_message())
        await page.call.until(lambda: bool(page.call.line.messages), "the text")
        (turn,) = page.call.line.messages[-1]["clientContent"]["turns"]
        assert turn["parts"] == [{"text": QUESTION}]
        await page.call.line.say(google_audio(speech()), google_words("Around the clock."))
        await page.call.line.say({"serverContent": {"turnComplete": True}})
        await page.call.until(lambda: len(page.call.history) == 2, "the reply")
        assert page.call.history == [("user", QUESTION), ("assistant", "Around the clock.")]
        await page.echoed()
        assert [packet["text"] for packet, _, _ in page.room.published] == [QUESTION]


async def test_context_is_not_answered_and_goes_before_the_next_message() -> None:
    async with page_beside("xai") as page:
        page.room.send(contextual_update())
        page.room.send(user_message())
        await page.call.line.until_message("response.create")
        (item,) = [
            each["item"]
            for each in page.call.line.messages
            if each["type"] == "conversation.item.create"
        ]
        (content,) = item["content"]
        assert content["text"].endswith(f"{CONTEXT}\n{QUESTION}")
        assert page.call.line.messages[-1]["type"] == "response.create"


async def test_context_is_no_text_of_a_reply_that_the_author_requests() -> None:
    async with page_beside("xai") as page:
        page.room.send(contextual_update())
        await page.call.until(lambda: CONTEXT in _context(page), "the context")
        handle = page.call.session.generate_reply(instructions="Greet.")
        request = await page.call.line.until_message("response.create")
        assert request["response"]["instructions"].endswith("Greet.")
        await page.call.line.say(xai_audio(speech()), {"type": "response.done", "response": {}})
        await handle
        kinds = [each["type"] for each in page.call.line.messages]
        assert "conversation.item.create" not in kinds


async def test_wire_without_text_takes_no_message_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with told(NO_EFFECT) as refused:
        async with page_beside("proxy") as page:
            page.room.send(user_message())
            await within(refused.wait(), WITHIN_S, "the log")
            # The call goes on.
            await page.call.reply("Around the clock.", question="Are you open?")
    (record,) = [each for each in caplog.records if each.message == NO_EFFECT]
    assert record.__dict__["packet"] == "UserMessage"
    assert "takes neither instructions nor text" in record.__dict__["reason"]
    assert page.call.errors == []


async def test_context_is_in_the_prompt_of_the_next_session() -> None:
    async with page_beside("proxy") as page:
        page.room.send(contextual_update())
        await page.call.until(lambda: CONTEXT in _context(page), "the context")
        page.call.line.drop()
        await page.call.line.connected(2)
        assert CONTEXT in page.call.prompt


async def test_late_prompt_is_the_next_sessions_and_a_voice_has_no_effect() -> None:
    options = {"allow_overrides": ["prompt", "voice", "speed", "language"]}
    async with page_beside("proxy", **options) as page:
        wishes: dict[str, Any] = {"tts": {"voiceId": "theirs", "speed": 1.5}, "language": "de-DE"}
        page.room.send(overrides(prompt="You are a pirate.", **wishes))
        await page.acted()
        page.call.line.drop()
        await page.call.line.connected(2)
        assert page.call.prompt.startswith("You are a pirate.")
        assert "theirs" not in str(page.call.server.requests[-1])


def _context(page: PageBeside) -> str:
    items = page.call.session.current_agent.chat_ctx.messages()
    return "\n".join(each.text_content or "" for each in items)
