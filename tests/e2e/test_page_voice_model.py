"""The page of the voice model, in a real browser, with a model that does what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, expect

from livekit_plugins_speko.testing import (
    CloseSocket,
    EndOfReply,
    EndSession,
    ErrorEvent,
    Interruption,
    MintedSession,
    RealtimeReady,
    RealtimeReply,
    RealtimeScript,
    RealtimeTranscript,
    Refusal,
    ToolCall,
)
from tests.e2e.voice_page import VoicePage, tone, voice_page

# One browser serves all of them.
pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG_S = 30.0
MARKUP = "<img src=x onerror=alert(1)>"


@pytest_asyncio.fixture(loop_scope="module")
async def caller(context: BrowserContext) -> AsyncIterator[VoicePage]:
    """Somebody at a fresh page."""
    async with voice_page(context) as caller:
        yield caller


async def test_microphone_is_sent_in_frames_of_20_ms(caller: VoicePage) -> None:
    """At the rate that the model names last."""
    model = await caller.holds()
    await model.arrived("audio", count=10)
    assert {len(frame.pcm) for frame in model.received("audio")} == {960}
    assert "authorization" not in model.request.headers
    await model.send(RealtimeReady(input_rate_hz=16_000))
    seen = len(model.received("audio"))
    await model.arrived("audio", count=seen + 20)
    assert {len(frame.pcm) for frame in model.received("audio")[seen + 10 :]} == {640}


async def test_what_is_said_arrives_as_it_was_said(caller: VoicePage) -> None:
    model = await caller.holds()
    await caller.say("question")
    samples = memoryview(model.audio).cast("h")
    assert max(samples) > 5_000


async def test_muted_microphone_sends_silence(caller: VoicePage) -> None:
    """The model needs it, to find the end of what was said."""
    model = await caller.holds()
    await caller.page.get_by_role("button", name="Mute").click()
    await expect(caller.page.locator("#caller")).to_have_attribute("data-muted", "true")
    # What was on its way when it was muted.
    await model.arrived("audio", count=len(model.received("audio")) + 20)
    seen = len(model.received("audio"))
    await caller.say("question")
    assert len(model.received("audio")) > seen + 20
    assert not any(any(frame.pcm) for frame in model.received("audio")[seen:])


async def test_lost_microphone_is_told_and_can_be_had_again(caller: VoicePage) -> None:
    model = await caller.holds()
    mute = caller.page.get_by_role("button", name="Mute")
    await caller.page.evaluate("unplug()")
    await expect(caller.problem).to_contain_text("The microphone was lost")
    await expect(mute).to_have_attribute("aria-pressed", "true")
    await caller.page.evaluate("void (window.refused = 'NotFoundError')")
    await mute.click()
    await expect(caller.problem).to_contain_text("No microphone was found.")
    await expect(mute).to_have_attribute("aria-pressed", "true")
    await caller.page.evaluate("void (window.refused = null)")
    await mute.click()
    await expect(mute).to_have_attribute("aria-pressed", "false")
    await expect(caller.problem).to_be_hidden()
    seen = len(model.received("audio"))
    await caller.say("question")
    heard = b"".join(frame.pcm for frame in model.received("audio")[seen:])
    assert max(memoryview(heard).cast("h")) > 5_000


async def test_refused_microphone_is_told(caller: VoicePage) -> None:
    await caller.page.evaluate("void (window.refused = 'NotAllowedError')")
    await caller.page.get_by_role("button", name="Call").click()
    await expect(caller.problem).to_contain_text("The microphone was refused.")
    assert caller.gateway.requests == []


async def test_reply_is_shown_and_played_to_its_end(caller: VoicePage) -> None:
    model = await caller.holds()
    await model.send(RealtimeTranscript("user", "Hello", final=True))
    await expect(caller.status).to_have_text("Thinking")
    # An odd size cuts samples in two.
    await RealtimeReply("Good morning.", audio=tone(1.0), chunk_bytes=4_801).play(model)
    await expect(caller.status).to_have_text("Speaking")
    await expect(caller.agent).to_have_attribute("data-speaking", "true")
    await expect(caller.status).to_have_text("Listening")
    assert await caller.lines() == [("caller", "Hello"), ("agent", "Good morning.")]
    await expect(caller.usage).to_have_text("10 audio tokens in, 20 out")


async def test_interruption_stops_what_is_played_at_once(caller: VoicePage) -> None:
    """The reply behind it is played, and the interrupted one is marked."""
    model = await caller.holds()
    await RealtimeReply("Once upon a time.", audio=tone(LONG_S)).play(model)
    await expect(caller.agent).to_have_attribute("data-speaking", "true")
    await model.send(Interruption())
    await expect(caller.status).to_have_text("Listening")
    await expect(caller.agent).to_have_attribute("data-speaking", "false")
    await expect(caller.page.locator("#transcript .cut .words")).to_contain_text("Once upon")
    await RealtimeReply("All right.", user="Wait.", audio=tone(0.3)).play(model)
    await expect(caller.status).to_have_text("Speaking")
    await expect(caller.status).to_have_text("Listening")
    await expect(caller.page.locator("#transcript .cut")).to_have_count(1)
    assert [text for _, text in await caller.lines()] == [
        "Once upon a time.",
        "Wait.",
        "All right.",
    ]


async def test_reply_that_is_cut_in_its_words_ends_its_line(caller: VoicePage) -> None:
    model = await caller.holds()
    await model.send(RealtimeTranscript("assistant", "Once upon"))
    await model.send(tone(LONG_S))
    await expect(caller.status).to_have_text("Speaking")
    await model.send(Interruption())
    await model.send(RealtimeTranscript("assistant", "Once more", final=True))
    await expect(caller.page.locator("#transcript .interim")).to_have_count(0)
    assert [text for _, text in await caller.lines()] == ["Once upon", "Once more"]


async def test_slow_reply_that_is_cut_between_two_sentences_is_marked(caller: VoicePage) -> None:
    model = await caller.holds()
    await model.send(RealtimeTranscript("assistant", "Once upon a time."))
    await model.send(tone(0.2))
    await expect(caller.status).to_have_text("Speaking")
    await expect(caller.status).to_have_text("Listening")
    await model.send(Interruption())
    await expect(caller.page.locator("#transcript .cut .words")).to_have_text("Once upon a time.")


async def test_words_in_pieces_and_whole_texts_make_the_same_line(caller: VoicePage) -> None:
    """Once whole texts were seen they replace each other, since they may be revised."""
    model = await caller.holds()
    for text in ("Good ", "morning", "."):
        await model.send(RealtimeTranscript("assistant", text))
    await model.send(RealtimeTranscript("assistant", "Good morning.", final=True))
    for text in ("How ate", "How are you"):
        await model.send(RealtimeTranscript("assistant", text))
    await model.send(RealtimeTranscript("assistant", MARKUP, final=True))
    await expect(caller.page.locator("#transcript li")).to_have_count(2)
    await expect(caller.page.locator("#transcript .interim")).to_have_count(0)
    assert [text for _, text in await caller.lines()] == ["Good morning.", MARKUP]


async def test_tool_is_run_and_answered_once(caller: VoicePage) -> None:
    model = await caller.holds()
    await model.send(ToolCall("get_local_time", {"city": "Tokyo"}))
    answer = await model.arrived("tool_result")
    assert answer.text.endswith(" in Tokyo") and answer.text[2] == ":"
    await expect(caller.notes).to_have_text(f"Tool get_local_time: {answer.text}")
    await model.send(ToolCall("get_local_time", {"city": "Atlantis"}))
    await model.send(ToolCall("open_the_safe", {}))
    await model.arrived("tool_result", count=3)
    assert [frame.text for frame in model.received("tool_result")][1:] == [
        "The time zone of Atlantis is not known here.",
        "There is no tool open_the_safe.",
    ]


async def test_hanging_up_closes_the_session(caller: VoicePage) -> None:
    """The microphone is let go, and the next call is a session of its own."""
    model = await caller.holds()
    await model.send(EndOfReply())
    await expect(caller.usage).not_to_be_empty()
    await caller.hang_up.click()
    await expect(caller.status).to_have_text("Call ended · You hung up")
    await asyncio.wait_for(model.until_closed(), 5)
    assert (model.close_code, model.close_reason) == (1000, "client_closed")
    again = await caller.holds()
    assert again.session.id != model.session.id
    await expect(caller.usage).to_be_empty()


async def test_page_that_is_left_closes_the_session(caller: VoicePage) -> None:
    model = await caller.holds()
    await caller.page.goto("about:blank")
    await asyncio.wait_for(model.until_closed(), 5)
    assert model.close_code == 1000


async def test_agent_that_hangs_up_is_told(caller: VoicePage) -> None:
    for end, told in (
        (EndSession("agent_hung_up"), "The agent hung up (agent_hung_up)"),
        (CloseSocket(1000, ""), "The agent hung up"),
    ):
        await caller.call(RealtimeScript([end]))
        await expect(caller.status).to_have_text(f"Call ended · {told}")
        await expect(caller.problem).to_be_hidden()


async def test_connection_that_breaks_off_is_told(caller: VoicePage) -> None:
    await caller.call(RealtimeScript([CloseSocket(1011, "the model is gone")]))
    await expect(caller.status).to_have_text("The call broke off")
    await expect(caller.problem).to_contain_text("the model is gone")


async def test_error_in_a_call_is_shown_and_does_not_end_it(caller: VoicePage) -> None:
    model = await caller.holds()
    await model.send(ErrorEvent(MARKUP, "PROVIDER_ERROR"))
    await expect(caller.problem).to_contain_text(MARKUP)
    await expect(caller.status).to_have_text("Listening")


async def test_session_that_does_not_begin_is_told(caller: VoicePage) -> None:
    error = ErrorEvent("no model is free", "NO_CAPACITY")
    await caller.call(RealtimeScript([error], ready=False))
    await expect(caller.problem).to_contain_text("The voice model can’t be had (NO_CAPACITY).")
    await expect(caller.page.get_by_role("button", name="Call again")).to_be_focused()


async def test_model_that_is_never_ready_is_given_up(caller: VoicePage) -> None:
    await caller.page.clock.install()
    model = await caller.call(RealtimeScript(ready=False))
    await expect(caller.status).to_have_text("Connecting")
    assert model.received("audio") == []
    await caller.page.clock.fast_forward(10_500)
    await expect(caller.problem).to_contain_text("was not ready within 10 seconds")


async def test_refused_session_is_told(caller: VoicePage) -> None:
    caller.gateway.sessions.script(Refusal(402, "no credits", "INSUFFICIENT_CREDITS"))
    await caller.page.get_by_role("button", name="Call").click()
    await expect(caller.problem).to_contain_text("INSUFFICIENT_CREDITS")
    await expect(caller.problem).to_contain_text("no credits left")


async def test_session_of_another_form_is_told(caller: VoicePage) -> None:
    """The page speaks to Speko's proxy alone."""
    caller.gateway.sessions.script(MintedSession(form="xai"))
    await caller.page.get_by_role("button", name="Call").click()
    await expect(caller.problem).to_contain_text("This page can’t talk to that voice model.")
    assert caller.gateway.realtime.connections == []
