"""The engines on the routes of a gateway."""

from __future__ import annotations

from livekit.agents.vad import VAD

from livekit_plugins_speko.testing import LocalGateway, RealtimeScript, StreamedTranscript

from .recogniser import Recogniser
from .rules import RulesModel
from .speech_to_speech import SpeechToSpeech
from .streaming import StreamingRecogniser
from .voice import Voice


def use_engines(gateway: LocalGateway, recogniser: Recogniser, voice: Voice, vad: VAD) -> None:
    """Serve every route of a gateway with these engines, which stay the caller's.

    Args:
        gateway: The gateway.
        recogniser: Recognises speech.
        voice: Speaks.
        vad: Detects speech, for the voice model.
    """
    gateway.transcribe.use(recogniser)
    gateway.transcribe_stream.always(StreamedTranscript(StreamingRecogniser(recogniser)))
    gateway.complete.use(RulesModel())
    gateway.synthesize.use(voice)
    gateway.realtime.always(RealtimeScript(SpeechToSpeech(recogniser, voice, vad)))
