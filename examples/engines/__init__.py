"""Engines for the local gateway: real speech recognition, real speech synthesis, and rules.

They serve the gateway's three routes in the demo. None of them needs a network: the weights are
packages of the extra `demo`. An engine is any `async` callable that takes a `GatewayRequest` and
returns an answer; write your own in the same way.
"""

from __future__ import annotations

from .recogniser import Recogniser
from .rules import RulesModel
from .voice import Voice

__all__ = ["Recogniser", "RulesModel", "Voice"]
