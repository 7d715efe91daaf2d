"""The programs around an agent on this machine: LiveKit's server, the gateway, the worker."""

from __future__ import annotations

from .process import Process, ProcessFailed
from .servers import (
    DEV_KEY,
    DEV_SECRET,
    PROXIES,
    REALTIME_WORKER,
    ROOT,
    WORKER,
    LiveKit,
    free_ports,
    livekit_server,
    start_gateway,
    start_livekit,
    start_successor,
    start_worker,
    surroundings,
)

__all__ = [
    "DEV_KEY",
    "DEV_SECRET",
    "PROXIES",
    "REALTIME_WORKER",
    "ROOT",
    "WORKER",
    "LiveKit",
    "Process",
    "ProcessFailed",
    "free_ports",
    "livekit_server",
    "start_gateway",
    "start_livekit",
    "start_successor",
    "start_worker",
    "surroundings",
]
