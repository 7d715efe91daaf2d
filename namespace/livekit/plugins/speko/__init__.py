"""`from livekit.plugins import speko`, as with LiveKit's other plugins.

The short names are the same objects as the long ones of `livekit_plugins_speko`, all of whose
public names are here too.
"""

from __future__ import annotations

import livekit_plugins_speko as _package
from livekit_plugins_speko import *  # noqa: F403
from livekit_plugins_speko import SpekoLLM as LLM
from livekit_plugins_speko import SpekoRealtimeModel as RealtimeModel
from livekit_plugins_speko import SpekoSTT as STT
from livekit_plugins_speko import SpekoTTS as TTS
from livekit_plugins_speko import __version__ as __version__

__all__ = ["LLM", "RealtimeModel", "STT", "TTS"]
__all__ += _package.__all__
