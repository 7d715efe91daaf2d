"""The local gateway with the demo's engines, as a service for an agent without a key.

    python examples/gateway.py [--port 8787] [--wait]

It prints the two variables that point an agent to it, and serves this machine until it is stopped.
With `--wait` it takes the port over from a gateway that ends, as a service does that is restarted.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

# The weights are on this disk; onnxruntime would report its use to Microsoft.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if __name__ == "__main__":
    # So that `examples` is found from any folder, as this file is.
    sys.path.insert(0, str(Path(__file__).parent.parent))

from livekit.plugins import silero

from examples.engines import Recogniser, Voice, use_engines
from livekit_plugins_speko.testing import LocalGateway

# The time between two attempts to open the port with --wait, in seconds.
RETRY_S = 0.1


async def serve(port: int, *, wait: bool = False) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        port: The port; 0 takes a free one.
        wait: True to wait for a port that is in use, else that is an `OSError`.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        recogniser, voice, vad = await asyncio.gather(
            asyncio.to_thread(Recogniser),
            asyncio.to_thread(Voice),
            asyncio.to_thread(silero.VAD.load),
        )
        stack.callback(recogniser.close)
        stack.callback(voice.close)
        gateway = await _open(port, wait=wait)
        stack.push_async_callback(gateway.aclose)
        use_engines(gateway, recogniser, voice, vad)
        print(f"SPEKO_BASE_URL={gateway.base_url} SPEKO_API_KEY={gateway.api_key}", flush=True)
        await stop.wait()


async def _open(port: int, *, wait: bool) -> LocalGateway:
    """Return a gateway that listens."""
    told = False
    while True:
        # A refused request is the agent's error, not this program's.
        gateway = LocalGateway(port=port, strict=False)
        try:
            await gateway.start()
        except OSError:
            await gateway.aclose()
            if not wait:
                raise
        else:
            return gateway
        if not told:
            told = True
            print(f"waiting for port {port}", flush=True)
        await asyncio.sleep(RETRY_S)


def main() -> int:
    """Read the command line and serve; return the exit status."""
    parser = argparse.ArgumentParser(description="Serve Speko's API on this machine alone.")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument("--wait", action="store_true", help="wait until the port is free")
    arguments = parser.parse_args()
    port = arguments.port
    # The connections to the voice model, and their ends.
    logging.basicConfig(format="%(message)s")
    logging.getLogger("examples.engines").setLevel(logging.INFO)
    try:
        asyncio.run(serve(port, wait=arguments.wait))
    except OSError as error:
        print(f"port {port} can't be opened: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
