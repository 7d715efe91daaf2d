"""Packets by hand: those of a page that are read, those that are ignored, and those sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livekit_plugins_speko.data_channel.pace import Pace
from livekit_plugins_speko.data_channel.packets import (
    MAX_PACKET_BYTES,
    OVERRIDES,
    ContextualUpdate,
    Overrides,
    OverridesPacket,
    UserMessage,
    build_agent_message,
    build_echo,
    build_transcript,
    parse_packet,
)
from tests.helpers.fake_room import overrides

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
ALL = Overrides(prompt="Be brief.", first_message="Hi.", language="es", voice="v", speed=1.5)


def parse(packet: Any) -> Any:
    return parse_packet(json.dumps(packet).encode())


@pytest.mark.parametrize(
    ("packet", "parsed"),
    [
        ({"type": "user_message", "text": "Hi"}, UserMessage("Hi")),
        ({"type": "contextual_update", "text": " a "}, ContextualUpdate(" a ")),
        ({"type": "user_message", "text": "Hi", "more": 1}, UserMessage("Hi")),
        ({"type": "user_message", "text": "a\ud800"}, UserMessage("a?")),
    ],
)
def test_messages_are_read(packet: Any, parsed: Any) -> None:
    assert parse(packet) == parsed


@pytest.mark.parametrize(
    "packet",
    [
        *(None, [], "user_message", 1, {}, {"text": "Hi"}, {"type": 7, "text": "Hi"}),
        *({"type": "user_message"}, {"type": "user_message", "text": " "}),
        *({"type": "contextual_update", "text": 5}, {"type": ["user_message"], "text": "Hi"}),
        *({"type": "transcript", "text": "Hi"}, {"type": "overrides"}),
        {"type": "overrides", "overrides": []},
    ],
)
def test_packets_of_others_are_ignored(packet: Any) -> None:
    assert parse(packet) is None


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"\xff\xfe", b"[" * MAX_PACKET_BYTES, b"1" * 5_000),
        '{"type": "user_message", "text": "Hi"}'.encode("utf-16"),
        json.dumps({"type": "user_message", "text": "x" * MAX_PACKET_BYTES}).encode(),
    ],
    ids=["empty", "cut", "no_utf8", "deep", "long_number", "utf16", "large"],
)
def test_bytes_that_are_no_packet_are_ignored(data: bytes) -> None:
    assert parse_packet(data) is None


@given(st.binary(max_size=200) | ANY_JSON.map(lambda value: json.dumps(value).encode()))
def test_parsing_never_raises(data: bytes) -> None:
    parse_packet(data)


@given(ANY_JSON, ANY_JSON, ANY_JSON)
def test_overrides_of_any_values_have_the_types_that_they_say(
    agent: Any, tts: Any, value: Any
) -> None:
    for packet in (
        {"type": "overrides", "overrides": {"agent": agent, "tts": tts}},
        overrides(prompt=value, firstMessage=value, language=value, tts={"speed": value}),
    ):
        parsed = parse(packet)
        assert isinstance(parsed, OverridesPacket)
        for name, found in parsed.overrides.given().items():
            assert isinstance(found, float if name == "speed" else str)


def test_overrides_are_read_by_the_names_of_the_wire() -> None:
    packet = overrides(
        prompt="Be brief.",
        firstMessage="Hi.",
        language="es",
        tts={"voiceId": "v", "speed": 1.5},
    )
    assert parse(packet) == OverridesPacket(ALL)
    assert set(ALL.given()) == set(OVERRIDES)


def test_empty_first_message_is_a_value() -> None:
    assert parse(overrides(firstMessage="")).overrides == Overrides(first_message="")


@pytest.mark.parametrize("speed", [0.49, 2.01, True, "1", 10**400, float("nan"), None])
def test_speed_out_of_range_is_dropped(speed: Any) -> None:
    parsed = parse(overrides(tts={"speed": speed}))
    assert parsed == OverridesPacket(Overrides(), () if speed is None else ("speed",))


def test_values_of_a_wrong_type_are_named() -> None:
    parsed = parse(overrides(prompt=1, firstMessage=[], language=" ", tts={"voiceId": {}}))
    unusable = ("prompt", "first_message", "language", "voice")
    assert parsed == OverridesPacket(Overrides(), unusable)


def test_later_overrides_win() -> None:
    assert ALL.updated(Overrides(voice="w")) == Overrides(**{**ALL.given(), "voice": "w"})  # type: ignore[arg-type]
    assert ALL.only(["voice"]) == Overrides(voice="v")


def test_packets_are_built_as_the_client_reads_them() -> None:
    assert json.loads(build_echo("Hi")) == {"type": "user_message_echo", "text": "Hi"}
    assert json.loads(build_transcript("user", "Hi", final=False)) == {
        **{"type": "transcript", "source": "user"},
        **{"text": "Hi", "isFinal": False},
    }
    assert json.loads(build_agent_message("Hi", final=True)) == {
        **{"type": "agent_message", "text": "Hi", "isFinal": True},
    }


@pytest.mark.parametrize("letter", ["x", "\n", "\0", "ä", "🙂", "\ud800"])
def test_long_text_is_cut_to_the_size_of_a_packet(letter: str) -> None:
    data = build_echo(letter * 40_000)
    kept = len(json.loads(data)["text"])
    assert MAX_PACKET_BYTES - 6 < len(data) <= MAX_PACKET_BYTES
    assert kept > MAX_PACKET_BYTES // 6 - 20


def test_pace_bounds_each_second() -> None:
    pace = Pace(2)
    assert [pace.allows(at) for at in (0.0, 0.1, 0.2, 0.99, 1.0, 1.05, 1.1)] == [
        *(True, True, False, False, True, False, True),
    ]
