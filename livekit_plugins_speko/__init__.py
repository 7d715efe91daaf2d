"""LiveKit Agents plugin for Speko, the gateway in front of every voice provider.

`create_speko_components` makes the three parts of an `AgentSession`: recognition, completion and
synthesis, each call of which Speko routes to the provider that scores best.
"""

from __future__ import annotations

import threading

from livekit.agents import Plugin

from ._call import RouteEvent
from .api.client import Speko
from .api.realtime_connection import RealtimeConnection
from .api.sessions import VoiceSession
from .api.types import ChatTool
from .audio.content_type import pcm_sample_rate_from_content_type
from .audio.decoding import decode_synthesis_result
from .audio.wav import WavAudio, frames_to_wav, parse_wav
from .components import SpekoComponents, create_speko_components
from .data_channel.channel import SpekoDataChannel
from .data_channel.turn_reporter import TurnReporter
from .errors import SpekoAdapterError, SpekoApiError, SpekoAuthError, SpekoRateLimitError
from .intent import (
    Intent,
    OptimizeFor,
    PipelineConstraints,
    validate_constraints,
    validate_intent,
)
from .llm.chat_context import chat_context_to_speko
from .llm.llm import SpekoLLM
from .llm.tools import RegisteredToolsLoader, merge_tools
from .log import logger
from .realtime.model import SpekoRealtimeModel
from .settings import SessionSettings
from .stt.recognize_stream import SpekoRecognizeStream
from .stt.stream_adapter import EagerStats, SpekoSTTAdapter
from .stt.stt import SpekoSTT
from .tts.first_words import FirstWordsTokenizer
from .tts.stream_adapter import SpekoTTSAdapter
from .tts.tts import SpekoTTS, SpekoTTSChunkedStream
from .version import __version__

__all__ = [
    "ChatTool",
    "EagerStats",
    "FirstWordsTokenizer",
    "Intent",
    "OptimizeFor",
    "PipelineConstraints",
    "RealtimeConnection",
    "RegisteredToolsLoader",
    "RouteEvent",
    "SessionSettings",
    "Speko",
    "SpekoAdapterError",
    "SpekoApiError",
    "SpekoAuthError",
    "SpekoComponents",
    "SpekoDataChannel",
    "SpekoLLM",
    "SpekoRateLimitError",
    "SpekoRealtimeModel",
    "SpekoRecognizeStream",
    "SpekoSTT",
    "SpekoSTTAdapter",
    "SpekoTTS",
    "SpekoTTSAdapter",
    "SpekoTTSChunkedStream",
    "TurnReporter",
    "VoiceSession",
    "WavAudio",
    "__version__",
    "chat_context_to_speko",
    "create_speko_components",
    "decode_synthesis_result",
    "frames_to_wav",
    "merge_tools",
    "parse_wav",
    "pcm_sample_rate_from_content_type",
    "validate_constraints",
    "validate_intent",
]


class SpekoPlugin(Plugin):
    """This package, as LiveKit's worker lists its plugins."""

    def __init__(self) -> None:
        super().__init__(__name__, __version__, __package__ or __name__, logger)


# LiveKit registers plugins on the main thread only, and raises elsewhere. The classes work
# unregistered, so an import on another thread must not fail for it.
if threading.current_thread() is threading.main_thread():
    Plugin.register_plugin(SpekoPlugin())
else:
    logger.debug("imported outside the main thread, so not registered as a LiveKit plugin")
