"""A packet of a page: a typed packet that can be sent back, or nothing."""

from __future__ import annotations

import json

from livekit_plugins_speko.data_channel.packets import (
    MAX_PACKET_BYTES,
    ContextualUpdate,
    OverridesPacket,
    UserMessage,
    build_agent_message,
    build_echo,
    build_transcript,
    parse_packet,
)

EXAMPLES = (
    '{"type": "user_message", "text": "Hi."}',
    '{"type": "contextual_update", "text": "On page 2."}',
    '{"type": "overrides", "overrides": {"agent": {"prompt": "p", "firstMessage": "",'
    ' "language": "de"}, "tts": {"voiceId": "v", "speed": 1.5}}}',
)


def check(data: bytes) -> None:
    """Parse a packet, and build those that answer it."""
    packet = parse_packet(data)
    if packet is None:
        return
    if isinstance(packet, OverridesPacket):
        given = packet.overrides.given()
        assert 0.5 <= float(given.get("speed", 1.0)) <= 2.0
        json.dumps(given).encode()
        return
    assert isinstance(packet, UserMessage | ContextualUpdate)
    for built in (
        build_echo(packet.text),
        build_transcript("user", packet.text, final=True),
        build_agent_message(packet.text, final=False),
    ):
        assert len(built) <= MAX_PACKET_BYTES
        assert json.loads(built)["text"] == packet.text[: len(json.loads(built)["text"])]
