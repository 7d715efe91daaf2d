"""A whole voice model through Speko, for LiveKit's `AgentSession`."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, Literal

from livekit import rtc
from livekit.agents import APIConnectOptions, llm
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

from .._aio import close_all
from .._base import Client, SpekoClient
from .._call import Calls
from ..api.realtime_options import RealtimeOptions
from ..intent import IntentLike
from .connectors import require_connector
from .session import SpekoRealtimeSession
from .upstream import SessionSettings

_CAPABILITIES = llm.RealtimeCapabilities(
    message_truncation=True,
    turn_detection=True,
    user_transcription=True,
    auto_tool_reply_generation=True,
    audio_output=True,
    manual_function_calls=False,
)


class SpekoRealtimeModel(llm.RealtimeModel, rtc.EventEmitter[Literal["route"]]):
    """Speech to speech: audio in, audio out, without an STT, TTS or VAD.

    ``AgentSession(llm=SpekoRealtimeModel(...))`` is a whole agent. The model emits the event
    ``route`` for each reply, and for each connection that could not be made. Sessions may share it;
    it owns those that it made, and its client if it made that.
    """

    def __init__(
        self,
        *,
        speko: SpekoClient | None = None,
        provider: str | None = None,
        model: str | None = None,
        voice: str | None = None,
        temperature: float | None = None,
        input_sample_rate: int = 24_000,
        output_sample_rate: int = 24_000,
        agent_id: str | None = None,
        intent: IntentLike | None = None,
        metadata: Mapping[str, Any] | None = None,
        ttl_seconds: int | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> None:
        """Check the options; open nothing.

        Args:
            speko: The client: `Speko`, or ``AsyncSpeko`` of the official SDK, which also speaks
                WebRTC. It stays the caller's. Default: a `Speko` of its own, made of
                ``SPEKO_API_KEY`` and ``SPEKO_BASE_URL``, which `aclose` closes.
            provider: Provider of the model, together with `model`, or neither: then `intent` or
                the agent decides.
            model: Name of the model, such as ``gpt-realtime``.
            voice: Voice of the provider. None and blank leave it to Speko.
            temperature: The model's, 0 to 2. None leaves it to the model.
            input_sample_rate: Rate in Hz of the audio to the model: 16000, or 24000, which is the
                rate of LiveKit's rooms. The service has the last word.
            output_sample_rate: Rate in Hz of the model's audio, likewise.
            agent_id: Hosted agent that the sessions belong to.
            intent: Language, region and goal to route by.
            metadata: Facts of your own, in JSON.
            ttl_seconds: Longest life of a session of the service, at most 1800. At its end the call
                continues with a new one. None leaves it to the service.
            conn_options: Attempts to connect, the wait between them, and the longest time for one.

        Raises:
            ValueError: An option that cannot be used; or no `speko` and no usable key in the
                environment.
            TypeError: `speko` is no async client, or has no speech to speech.
        """
        llm.RealtimeModel.__init__(self, capabilities=_CAPABILITIES)
        rtc.EventEmitter.__init__(self)
        self._label = "speko.RealtimeModel"
        self._options = RealtimeOptions(
            provider=provider,
            model=model,
            voice=voice,
            temperature=temperature,
            input_sample_rate=input_sample_rate,
            output_sample_rate=output_sample_rate,
            agent_id=agent_id,
            intent=intent,
            metadata=metadata,
            ttl_seconds=ttl_seconds,
        )
        self._client = Client(speko, "SpekoRealtimeModel")
        self._new_connector = require_connector(self._client.speko, self._options)
        self._conn_options = conn_options
        self._calls = Calls(self, "realtime")
        # Sessions that are still referenced.
        self._sessions: weakref.WeakSet[SpekoRealtimeSession] = weakref.WeakSet()

    @property
    def model(self) -> str:
        """Name of the model in Speko's notation, ``openai:gpt-realtime``.

        ``speko-router`` where the service chooses.
        """
        if self._options.model is None:
            return "speko-router"
        return f"{self._options.provider}:{self._options.model}"

    @property
    def provider(self) -> str:
        """Always ``speko``."""
        return "speko"

    def session(self, *, turn_detection_disabled: bool = False) -> SpekoRealtimeSession:
        """Make a session. It connects once it has its configuration, in the background."""
        session = SpekoRealtimeSession(
            self,
            SessionSettings(
                options=self._options,
                connector=self._new_connector(),
                conn_options=self._conn_options,
                calls=self._calls,
            ),
        )
        self._sessions.add(session)
        return session

    async def aclose(self) -> None:
        """Close the sessions, and the client if it is the model's own. Safe to call twice."""
        sessions = list(self._sessions)
        await close_all(*(session.aclose for session in sessions), self._client.aclose)
