"""Tools for testing an agent: a stand-in for the Speko service and a simulated phone line.

`LocalGateway` serves the Speko API on a port of this machine, with answers set from Python:

    async with LocalGateway() as gateway:
        gateway.transcribe.script(Transcript("hello"))
        gateway.complete.script(Reply("Hi there."))
        gateway.synthesize.always(Speech(bytes(48000)))
        speko = Speko(base_url=gateway.base_url, api_key=gateway.api_key)
"""

from __future__ import annotations

from ._gateway.connection import SocketConnection
from ._gateway.frames import ReceivedFrame
from ._gateway.pieces import EndOfStream, ErrorEvent, ProviderRoute, ServerToolCall, ToolCall
from ._gateway.realtime_connection import RealtimeConnection
from ._gateway.realtime_pieces import (
    EndOfReply,
    Interruption,
    RealtimeReady,
    RealtimeTranscript,
    ResumptionHandle,
)
from ._gateway.recognition import (
    Final,
    Interim,
    RecognitionConnection,
    ServerEnd,
    TimedWord,
)
from ._gateway.request import GatewayRequest
from ._gateway.route import Engine, Route
from ._gateway.session_store import GatewaySession, SessionForm
from ._gateway.socket_route import SocketRoute
from ._gateway.steps import (
    After,
    AfterAudio,
    CloseSocket,
    DropConnection,
    Hang,
    Pause,
    RawFrame,
    SocketStep,
)
from ._gateway.waiting import Gate
from ._gateway.writer import AnswerWriter, Latency
from .answers import Answer, Refusal, Reply, Speech, ToolRows, Transcript
from .gateway import LocalGateway
from .line import CallLine, LineSegment
from .realtime import EndSession, RealtimeEngine, RealtimeReply, RealtimeScript, RealtimeStep
from .recognition import RecognitionEngine, RecognitionStep, StreamedTranscript
from .sessions import JsonAnswer, LostAnswer, MintedSession

__all__ = [
    "After",
    "AfterAudio",
    "Answer",
    "AnswerWriter",
    "CallLine",
    "CloseSocket",
    "DropConnection",
    "EndOfReply",
    "EndOfStream",
    "EndSession",
    "Engine",
    "ErrorEvent",
    "Final",
    "Gate",
    "GatewayRequest",
    "GatewaySession",
    "Hang",
    "Interim",
    "Interruption",
    "JsonAnswer",
    "Latency",
    "LineSegment",
    "LocalGateway",
    "LostAnswer",
    "MintedSession",
    "Pause",
    "ProviderRoute",
    "RawFrame",
    "RealtimeConnection",
    "RealtimeEngine",
    "RealtimeReady",
    "RealtimeReply",
    "RealtimeScript",
    "RealtimeStep",
    "RealtimeTranscript",
    "ReceivedFrame",
    "RecognitionConnection",
    "RecognitionEngine",
    "RecognitionStep",
    "Refusal",
    "Reply",
    "ResumptionHandle",
    "Route",
    "ServerEnd",
    "ServerToolCall",
    "SessionForm",
    "SocketConnection",
    "SocketRoute",
    "SocketStep",
    "Speech",
    "StreamedTranscript",
    "TimedWord",
    "ToolCall",
    "ToolRows",
    "Transcript",
]
