"""The programs around an agent on this machine: LiveKit's server, the gateway, the worker."""

from __future__ import annotations

from .process import Process, ProcessFailed
from .servers import (
    DEV_KEY,
    DEV_SECRET,
    PROXIES,
    ROOT,
    LiveKit,
    free_ports,
    livekit_server,
    start_gateway,
    start_livekit,
    start_worker,
    surroundings,
)

__all__ = [
    "DEV_KEY",
    "DEV_SECRET",
    "PROXIES",
    "ROOT",
    "LiveKit",
    "Process",
    "ProcessFailed",
    "free_ports",
    "livekit_server",
    "start_gateway",
    "start_livekit",
    "start_worker",
    "surroundings",
]
