"""A service for an agent without a key: the local gateway with the demo's engines.

    python examples/gateway.py [--port 8787]

It prints the two variables that lead an agent to it, and serves this machine until it is stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

# The weights are on this disk, and onnxruntime is to report its use to nobody.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if __name__ == "__main__":
    # So that `examples` is found from any folder, as this file is.
    sys.path.insert(0, str(Path(__file__).parent.parent))

from examples.engines import Recogniser, RulesModel, Voice
from livekit_plugins_speko.testing import LocalGateway


async def serve(port: int) -> None:
    """Serve until the process is told to end."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        recogniser, voice = await asyncio.gather(
            asyncio.to_thread(Recogniser), asyncio.to_thread(Voice)
        )
        stack.callback(recogniser.close)
        stack.callback(voice.close)
        # A request that it refuses is for the agent to see, no reason to end with an error.
        gateway = await stack.enter_async_context(LocalGateway(port=port, strict=False))
        gateway.transcribe.use(recogniser)
        gateway.complete.use(RulesModel())
        gateway.synthesize.use(voice)
        print(f"SPEKO_BASE_URL={gateway.base_url} SPEKO_API_KEY={gateway.api_key}", flush=True)
        await stop.wait()


def main() -> int:
    """Read the command line and serve; returns the status to exit with."""
    parser = argparse.ArgumentParser(description="Serve Speko's API on this machine alone.")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    port = parser.parse_args().port
    try:
        asyncio.run(serve(port))
    except OSError as error:
        print(f"port {port} can't be opened: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
