"""Other Python processes, run beside the test's event loop so that its gateway can answer them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


async def run_python(
    *arguments: str, environment: Mapping[str, str], timeout_s: float = 90.0
) -> subprocess.CompletedProcess[str]:
    """Run this Python from the project's root and return what it printed."""
    # A LiveKit job that is not ended by its worker leaves its session's folder behind.
    with tempfile.TemporaryDirectory() as scratch:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": scratch, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), timeout_s)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return subprocess.CompletedProcess(
        list(arguments), process.returncode or 0, out.decode(), err.decode()
    )
