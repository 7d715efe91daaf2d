"""Engines for the local gateway: real speech recognition, real speech synthesis, and rules.

They serve the gateway's routes in the demo. None of them needs a network: the weights are
packages of the extra `demo`. An engine is any `async` callable that takes a `GatewayRequest` and
returns an answer, or one that takes the connection of a stream; write your own in the same way.
"""

from __future__ import annotations

from .recogniser import Recogniser
from .routes import use_engines
from .rules import RulesModel
from .speech_to_speech import SpeechToSpeech
from .streaming import StreamingRecogniser
from .voice import Voice

__all__ = [
    "Recogniser",
    "RulesModel",
    "SpeechToSpeech",
    "StreamingRecogniser",
    "Voice",
    "use_engines",
]
