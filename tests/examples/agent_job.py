"""Runs an agent file's entrypoint as a LiveKit job, without a server; see test_agent.py.

The environment names the file (AGENT_FILE) and the job's metadata (JOB_METADATA).

The room is never connected, so the caller writes instead of speaking. It runs in a process of its
own, because a job without a room leaves tasks of LiveKit running.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession, JobContext, llm, tts
from livekit.agents.testing import fake_job_context
from livekit.agents.voice.run_result import RunResult

ROOT = Path(__file__).parent.parent.parent


class Job:
    """One job, from its entrypoint to the replies of its session."""

    def __init__(self, ctx: JobContext, entrypoint: Callable[[JobContext], Any]) -> None:
        self._ctx = ctx
        self._entrypoint = entrypoint
        # The reason for which the entrypoint shut the job down, or None.
        self.shut_down: str | None = None
        ctx.shutdown = self._note_shutdown  # type: ignore[method-assign]

    def _note_shutdown(self, reason: str = "") -> None:
        self.shut_down = reason

    async def run(self) -> list[str]:
        """Take the call, write one question and return the replies."""
        await self._entrypoint(self._ctx)
        if self.shut_down is not None:
            return []
        session: AgentSession[None] = self._ctx.primary_session
        greeted = asyncio.Event()
        assert isinstance(session.tts, tts.TTS)
        session.tts.on("metrics_collected", lambda _: greeted.set())
        await asyncio.wait_for(greeted.wait(), 30)
        # In a room that isn't connected audio is never played out.
        session.output.set_audio_enabled(False)
        session.interrupt()
        result: RunResult[None] = session.run(user_input="When are you open?")
        await asyncio.wait_for(result, 30)
        await session.aclose()
        for callback in self._ctx._shutdown_callbacks:
            await callback("done")
        messages = [event.item for event in result.events if event.type == "message"]
        return [m.text_content or "" for m in messages if isinstance(m, llm.ChatMessage)]


async def main() -> None:
    """Run the job that the environment describes, and print a report as one line of JSON."""
    logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
    metadata = os.environ.get("JOB_METADATA", "")
    agent = runpy.run_path(os.environ.get("AGENT_FILE", str(ROOT / "examples" / "agent.py")))
    with fake_job_context(room=rtc.Room(), job_metadata=metadata) as ctx:
        if "prewarm" in agent:
            agent["prewarm"](ctx.proc)
        job = Job(ctx, agent["entrypoint"])
        replies = await job.run()
    print(json.dumps({"replies": replies, "shut_down": job.shut_down}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
