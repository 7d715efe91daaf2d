"""The example's agent in a worker that takes two calls at once, for many workers on one machine.

LiveKit's own measure of a worker's load is the machine's CPU, which they would share.
"""

from __future__ import annotations

from livekit.agents import AgentServer, cli

from examples import agent as example

MOST_CALLS = 2
# The load at which a worker is full.
FULL = 0.5


def load(server: AgentServer) -> float:
    """Return the worker's load by its calls."""
    return FULL * len(server.active_jobs) / MOST_CALLS


# In production it listens on a port that only one worker of a machine can have.
server = AgentServer(
    load_fnc=load, load_threshold=FULL, num_idle_processes=MOST_CALLS, port=0, host="127.0.0.1"
)
server.setup_fnc = example.prewarm
server.rtc_session()(example.entrypoint)

if __name__ == "__main__":
    cli.run_app(server)
