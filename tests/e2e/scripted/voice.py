"""A voice of one tone, as long as its text would take to say."""

from __future__ import annotations

import numpy as np

from livekit_plugins_speko.testing import GatewayRequest, Speech

RATE_HZ = 24_000
TONE_HZ = 300.0
CHARS_PER_S = 30.0


async def scripted_voice(request: GatewayRequest) -> Speech:
    """Answer a request with a tone without a pause."""
    body = request.json
    seconds = len(body["text"]) / CHARS_PER_S / body.get("speed", 1.0)
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tone = (8000 * np.sin(2 * np.pi * TONE_HZ * times)).astype("<i2")
    return Speech(tone.tobytes(), content_type=f"audio/pcm;rate={RATE_HZ}")
