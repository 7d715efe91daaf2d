"""The service of the call: the real one, or the local gateway with its engines."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from livekit.plugins import silero

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import LocalGateway

from .screen import Screen


async def connect(stack: AsyncExitStack, screen: Screen, *, local: bool) -> Speko:
    """Return a client; `stack` closes it, and stops what serves it.

    Args:
        stack: Owns everything.
        screen: Shows the steps.
        local: True for the local gateway, False for the real service.
    """
    if local:
        gateway = await _start_gateway(stack, screen)
        speko = Speko(base_url=gateway.base_url, api_key=gateway.api_key)
    else:
        speko = Speko()
        screen.note(f"  SPEKO_API_KEY is set: the call uses {speko.base_url}")
    return await stack.enter_async_context(speko)


async def _start_gateway(stack: AsyncExitStack, screen: Screen) -> LocalGateway:
    """Start the local gateway with its engines; `stack` stops both."""
    with screen.step("Import the engines"):
        from examples.engines import Recogniser, Voice, use_engines
    with screen.step("Load speech recognition (Whisper tiny.en)"):
        recogniser = await asyncio.to_thread(Recogniser)
        stack.callback(recogniser.close)
    with screen.step("Load the voice (Piper, en_US-joe-medium)"):
        voice = await asyncio.to_thread(Voice)
        stack.callback(voice.close)
    with screen.step("Load the service's voice activity detection (Silero)"):
        vad = await asyncio.to_thread(silero.VAD.load)
    with screen.step("Start the local gateway"):
        gateway = await stack.enter_async_context(LocalGateway())
    use_engines(gateway, recogniser, voice, vad)
    return gateway
