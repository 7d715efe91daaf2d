"""The agent of the call: that of `agent.py`, or with a voice model that of `realtime_agent.py`."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from livekit.agents import Agent, AgentSession
from livekit.agents.llm import LLM
from livekit.plugins import silero

from examples import agent, realtime_agent
from livekit_plugins_speko import SessionSettings, Speko, SpekoRealtimeModel

from .screen import Screen


@dataclass(frozen=True)
class Answering:
    """Whoever answers the call."""

    session: AgentSession[Any]
    # The session's model, which tells the time of each reply's first piece.
    model: LLM[Any] | SpekoRealtimeModel
    agent: Agent


async def build_cascade(
    speko: Speko, stack: AsyncExitStack, screen: Screen, *, streaming: bool
) -> Answering:
    """Make the agent of `agent.py`; `stack` closes its components."""
    with screen.step("Load voice activity detection (Silero)"):
        vad = await asyncio.to_thread(silero.VAD.load)
    settings = SessionSettings(intent=agent.INTENT)
    session, components = agent.build_session(speko, vad, settings, streaming=streaming)
    stack.push_async_callback(components.aclose)
    return Answering(session, components.llm, agent.Assistant())


def build_speech_to_speech(speko: Speko, stack: AsyncExitStack) -> Answering:
    """Make the agent of `realtime_agent.py`; `stack` closes its model."""
    session = realtime_agent.build_session(speko)
    assert isinstance(session.llm, SpekoRealtimeModel)
    stack.push_async_callback(session.llm.aclose)
    return Answering(session, session.llm, realtime_agent.Assistant())
