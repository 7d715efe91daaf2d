"""What a hostile or a chatty participant can do to a call: nothing."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livekit import rtc
from livekit.rtc.participant import PublishDataError

from livekit_plugins_speko import Speko
from livekit_plugins_speko.data_channel.channel import MAX_WAITING
from livekit_plugins_speko.data_channel.intake import MAX_PACKETS_A_SECOND, MAX_SENDERS
from livekit_plugins_speko.data_channel.packets import OVERRIDES, Overrides
from livekit_plugins_speko.testing import LocalGateway, Reply
from tests.data_channel.sessions import INSTRUCTIONS, make_channel, page_call
from tests.data_channel.test_packets import ANY_JSON
from tests.helpers.fake_room import (
    CALLER,
    STRANGER,
    FakeRoom,
    contextual_update,
    overrides,
    user_message,
)

LOGGER = "livekit.plugins.speko"


async def test_packets_of_a_stranger_and_of_the_server_have_no_effect(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply("Yes."))
    room = FakeRoom(CALLER, STRANGER)
    async with page_call(speko, room=room, allow_overrides=OVERRIDES) as call:
        for sender in (STRANGER, None):
            for packet in (user_message("No"), contextual_update("No"), overrides(prompt="No")):
                room.send(packet, sender=sender)
        room.send(user_message("Foreign topic."), topic="other")
        room.send(user_message())
        await call.until(2)
    (request,) = gateway.requests_to("complete")
    messages = [message["content"] for message in request.json["messages"]]
    assert messages == [INSTRUCTIONS, user_message()["text"]]


async def test_updates_of_a_stranger_before_the_session_are_dropped(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.complete.script(Reply("Yes."))
    room = FakeRoom(CALLER, STRANGER)
    channel = make_channel(room)
    room.send(contextual_update("From a stranger."), sender=STRANGER)
    room.send(contextual_update("From the caller."))
    async with page_call(speko, room=room, channel=channel) as call:
        room.send(user_message())
        await call.until(2)
    told = str(gateway.requests_to("complete")[0].json)
    assert "From the caller." in told and "From a stranger." not in told


@pytest.mark.parametrize("waits", [True, False])
async def test_overrides_of_a_stranger_do_not_keep_the_callers_out(
    gateway: LocalGateway, speko: Speko, waits: bool
) -> None:
    gateway.complete.script(Reply("Yes."))
    room = FakeRoom(CALLER, STRANGER)
    channel = make_channel(room, allow_overrides=OVERRIDES)
    room.send(overrides(prompt="From a stranger."), sender=STRANGER)
    room.send(overrides(prompt="From the caller."))
    if waits:
        await channel.overrides()
    async with page_call(speko, room=room, channel=channel) as call:
        room.send(user_message())
        await call.until(2)
    assert gateway.requests_to("complete")[0].json["messages"][0]["content"] == "From the caller."


async def test_agents_and_their_helpers_are_no_callers() -> None:
    room = FakeRoom(CALLER)
    room.join("avatar", **{"lk.publish_on_behalf": "agent-1"})
    room.join("other-agent", kind=rtc.ParticipantKind.PARTICIPANT_KIND_AGENT)
    channel = make_channel(room, allow_overrides=OVERRIDES)
    for sender in ("avatar", "other-agent"):
        room.send(overrides(prompt="No"), sender=sender)
    assert await channel.overrides(timeout=0) == Overrides()
    await channel.aclose()


async def test_flood_is_bounded_and_logged_once(
    speko: Speko, caplog: pytest.LogCaptureFixture
) -> None:
    room = FakeRoom()
    channel = make_channel(room)
    with caplog.at_level(logging.WARNING, LOGGER):
        for number in range(5_000):
            room.send(contextual_update(f"Update {number}."))
    assert len(channel._waiting) == MAX_PACKETS_A_SECOND
    assert len(caplog.records) == 1
    await channel.aclose()


async def test_flood_of_participants_is_bounded() -> None:
    room = FakeRoom()
    channel = make_channel(room)
    for number in range(200):
        room.join(f"guest-{number}")
        room.send(contextual_update(), sender=f"guest-{number}")
    assert len(channel._waiting) == MAX_WAITING
    assert len(channel._intake._looked) == MAX_SENDERS
    await channel.aclose()


async def test_packet_of_16_kib_is_ignored(speko: Speko, gateway: LocalGateway) -> None:
    gateway.complete.script(Reply("Yes."))
    async with page_call(speko) as call:
        call.room.send(user_message("x" * 16 * 1024))
        call.room.send(user_message())
        await call.until(2)
    assert call.history[0] == ("user", user_message()["text"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300) | ANY_JSON, st.sampled_from([CALLER, STRANGER, None]), st.text())
async def test_no_packet_raises_in_the_callback(packet: Any, sender: Any, topic: str) -> None:
    room = FakeRoom(CALLER, STRANGER)
    channel = make_channel(room, allow_overrides=OVERRIDES, transcripts=True)
    for each in (packet, {"type": "overrides", "overrides": packet if topic else {"tts": topic}}):
        try:
            room.send(each, sender=sender, topic=topic or None)
        except TypeError:  # bytes in JSON: the test's own
            assert isinstance(packet, bytes)
    await channel.aclose()


async def test_page_that_cannot_be_reached_costs_a_line_in_the_log(
    gateway: LocalGateway, speko: Speko, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.complete.script(Reply("Yes."), Reply("Yes."))
    with caplog.at_level(logging.WARNING, LOGGER):
        async with page_call(speko) as call:
            call.room.local_participant.failure = PublishDataError("gone")
            call.room.send(user_message())
            await call.until(2)
            call.room.send(user_message("Still?"))
            await call.until(4)
    assert [record.message for record in caplog.records] == [
        "a packet to the caller's page could not be sent"
    ]
