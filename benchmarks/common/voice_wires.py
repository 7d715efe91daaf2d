"""A voice model's messages, on Speko's wire and on OpenAI's, which xAI's is. No I/O."""

from __future__ import annotations

import base64
import json
from typing import Any, Protocol, TypeAlias

Message: TypeAlias = str | bytes
"""A text frame or a binary one."""

RATE_HZ = 24_000
SOCKETS = "/v1/realtime"
"""Path of OpenAI's wire; that of Speko's is below its session."""


class VoiceWire(Protocol):
    """The wire of one connection. Methods return the messages to send."""

    def opened(self) -> list[Message]:
        """Build what is sent to a client that has connected."""

    def audio(self, message: Message) -> bytes:
        """Return the caller's audio in a message; nothing for another message."""

    def responses(self, message: Message) -> list[Message]:
        """Build the responses to a message without audio."""

    def speech_started(self, *, interrupts: bool) -> list[Message]:
        """Build the beginning of the caller's speech."""

    def caller_word(self, word: str, so_far: str) -> list[Message]:
        """Build the caller's next word."""

    def speech_stopped(self, text: str) -> list[Message]:
        """Build the end of the caller's turn."""

    def reply_began(self) -> list[Message]:
        """Build the beginning of a reply."""

    def reply_word(self, word: str, so_far: str) -> list[Message]:
        """Build the reply's next word."""

    def reply_audio(self, pcm: bytes) -> list[Message]:
        """Build the reply's next audio."""

    def reply_ended(self, text: str, *, cut: bool) -> list[Message]:
        """Build the end of a reply."""


class SpekoVoiceWire:
    """Speko's own, through its proxy."""

    def opened(self) -> list[Message]:
        return [dumped(t="ready", inputSampleRate=RATE_HZ, outputSampleRate=RATE_HZ)]

    def audio(self, message: Message) -> bytes:
        return message if isinstance(message, bytes) else b""

    def responses(self, message: Message) -> list[Message]:
        return []

    def speech_started(self, *, interrupts: bool) -> list[Message]:
        return [dumped(t="interruption", at="user")] if interrupts else []

    def caller_word(self, word: str, so_far: str) -> list[Message]:
        return [dumped(t="transcript", role="user", text=so_far, final=False)]

    def speech_stopped(self, text: str) -> list[Message]:
        return [dumped(t="transcript", role="user", text=text, final=True)]

    def reply_began(self) -> list[Message]:
        return []

    def reply_word(self, word: str, so_far: str) -> list[Message]:
        return [dumped(t="transcript", role="assistant", text=so_far, final=False)]

    def reply_audio(self, pcm: bytes) -> list[Message]:
        return [pcm]

    def reply_ended(self, text: str, *, cut: bool) -> list[Message]:
        final = dumped(t="transcript", role="assistant", text=text, final=True)
        usage = dumped(t="usage", inputAudioTokens=40, outputAudioTokens=80)
        return [usage] if cut else [final, usage]


class OpenAIVoiceWire:
    """OpenAI's realtime events, with all that livekit-plugins-openai reads."""

    def __init__(self) -> None:
        # Counts the events, the items and the replies.
        self._count = 0
        # Ids of the caller's item, the agent's and its reply. Empty before the first.
        self._caller = self._agent = self._reply = ""

    def opened(self) -> list[Message]:
        return [self._event("session.created", session={"type": "realtime", "id": "s-1"})]

    def audio(self, message: Message) -> bytes:
        event: dict[str, Any] = json.loads(message)
        is_audio = event["type"] == "input_audio_buffer.append"
        return base64.b64decode(event["audio"]) if is_audio else b""

    def responses(self, message: Message) -> list[Message]:
        event: dict[str, Any] = json.loads(message)
        kind = event["type"]
        if kind == "session.update":
            return [self._event("session.updated", session=event["session"])]
        if kind == "conversation.item.create":
            return [self._event("conversation.item.added", item=event["item"])]
        if kind == "conversation.item.delete":
            return [self._event("conversation.item.deleted", item_id=event["item_id"])]
        return []

    def speech_started(self, *, interrupts: bool) -> list[Message]:
        self._caller = self._id("item")
        kind = "input_audio_buffer.speech_started"
        return [self._event(kind, item_id=self._caller, audio_start_ms=0)]

    def caller_word(self, word: str, so_far: str) -> list[Message]:
        kind = "conversation.item.input_audio_transcription.delta"
        return [self._event(kind, item_id=self._caller, content_index=0, delta=word)]

    def speech_stopped(self, text: str) -> list[Message]:
        item = self._caller
        kind = "conversation.item.input_audio_transcription.completed"
        content = [{"type": "input_audio", "transcript": None}]
        return [
            self._event("input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=0),
            self._event("input_audio_buffer.committed", item_id=item),
            self._event("conversation.item.added", item=message_of(item, "user", content)),
            self._event(kind, item_id=item, content_index=0, transcript=text),
        ]

    def reply_began(self) -> list[Message]:
        self._reply, self._agent = self._id("resp"), self._id("item")
        response = {"id": self._reply, "object": "realtime.response", "status": "in_progress"}
        item = message_of(self._agent, "assistant", [])
        part = {"type": "audio", "transcript": ""}
        return [
            self._event("response.created", response=response),
            self._event("response.output_item.added", item=item, **self._place()),
            self._event("conversation.item.added", item=item),
            self._event("response.content_part.added", part=part, **self._place()),
        ]

    def reply_word(self, word: str, so_far: str) -> list[Message]:
        kind = "response.output_audio_transcript.delta"
        return [self._event(kind, delta=word, **self._place())]

    def reply_audio(self, pcm: bytes) -> list[Message]:
        delta = base64.b64encode(pcm).decode()
        return [self._event("response.output_audio.delta", delta=delta, **self._place())]

    def reply_ended(self, text: str, *, cut: bool) -> list[Message]:
        content = [{"type": "output_audio", "transcript": text}]
        item = message_of(self._agent, "assistant", content)
        response = {
            "id": self._reply,
            "object": "realtime.response",
            "status": "cancelled" if cut else "completed",
            "output": [item],
            "usage": {
                "total_tokens": 120,
                "input_tokens": 40,
                "output_tokens": 80,
                "input_token_details": {"audio_tokens": 40, "text_tokens": 0, "cached_tokens": 0},
                "output_token_details": {"audio_tokens": 80, "text_tokens": 0},
            },
        }
        kind = "response.output_audio_transcript.done"
        return [
            self._event("response.output_audio.done", **self._place()),
            self._event(kind, transcript=text, **self._place()),
            self._event("response.content_part.done", part=content[0], **self._place()),
            self._event("response.output_item.done", item=item, **self._place()),
            self._event("response.done", response=response),
        ]

    def _place(self) -> dict[str, Any]:
        place = {"response_id": self._reply, "item_id": self._agent}
        return {**place, "output_index": 0, "content_index": 0}

    def _event(self, kind: str, **fields: Any) -> str:
        return dumped(type=kind, event_id=self._id("event"), **fields)

    def _id(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"


def message_of(item_id: str, role: str, content: list[Any]) -> dict[str, Any]:
    """Build a message of the conversation."""
    return {"id": item_id, "type": "message", "role": role, "content": content}


def minted(url: str, provider: str) -> dict[str, Any]:
    """Build the credentials of a session: a direct one with xAI, else one through the proxy.

    Args:
        url: Address of the line, ws or wss.
        provider: The provider that was asked for.
    """
    later = "2099-01-01T00:00:00Z"
    common = {
        "mode": "s2s",
        "sessionId": "s-1",
        "expiresAt": later,
        "inputSampleRate": RATE_HZ,
        "outputSampleRate": RATE_HZ,
    }
    if provider != "xai":
        return {**common, "wsUrl": f"{url}/v1/sessions/s-1", "wsToken": "token"}
    return {
        **common,
        "transport": "provider_direct",
        "planId": "plan-1",
        "attemptId": "attempt-1",
        "provider": "xai",
        "model": "bench-1",
        "adapter": "xai.realtime.v1",
        "providerTransport": "websocket",
        "endpoint": f"{url}{SOCKETS}",
        "credential": {"kind": "bearer", "value": "secret", "expiresAt": later},
        "telemetry": {
            "endpoint": f"http{url[2:]}/v1/realtime/telemetry",
            "token": "token",
            "flushIntervalMs": 5000,
        },
        "reservation": {
            "id": "reservation-1",
            "authorizedDurationSeconds": 3600,
            "leaseExpiresAt": later,
            "billing": {
                "mode": "direct_entitlement",
                "state": "estimated",
                "maximumAmountMicros": "1000000",
                "currency": "USD",
            },
        },
        "session": {},
    }


def dumped(**message: Any) -> str:
    """Write a message as a service does, without spaces."""
    return json.dumps(message, separators=(",", ":"))
