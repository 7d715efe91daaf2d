"""For the tests of an agent: a stand-in for the Speko service, and a phone line without a phone.

`LocalGateway` serves the Speko API on a port of this machine, with answers set from Python:

    async with LocalGateway() as gateway:
        gateway.transcribe.script(Transcript("hello"))
        gateway.complete.script(Reply("Hi there."))
        gateway.synthesize.always(Speech(bytes(48000)))
        speko = Speko(base_url=gateway.base_url, api_key=gateway.api_key)
"""

from __future__ import annotations

from .answers import Answer, Refusal, Speech, ToolRows
from .event_answers import Reply, Transcript
from .gateway import LocalGateway
from .line import CallLine, LineSegment
from .pieces import EndOfStream, ErrorEvent, ProviderRoute, ServerToolCall, ToolCall
from .request import GatewayRequest
from .routes import Engine, Route
from .waiting import Gate
from .writer import AnswerWriter, Latency

__all__ = [
    "Answer",
    "AnswerWriter",
    "CallLine",
    "EndOfStream",
    "Engine",
    "ErrorEvent",
    "Gate",
    "GatewayRequest",
    "Latency",
    "LineSegment",
    "LocalGateway",
    "ProviderRoute",
    "Refusal",
    "Reply",
    "Route",
    "ServerToolCall",
    "Speech",
    "ToolCall",
    "ToolRows",
    "Transcript",
]
