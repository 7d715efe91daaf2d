"""The common interface of the three wires."""

from __future__ import annotations

import base64
import binascii
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeAlias

from ..frames import FrameKind
from ..pieces import ToolCall
from ..realtime_pieces import RealtimePiece, RealtimeTranscript
from ..session_store import GatewaySession
from ..shapes import InvalidRequest, wrong
from ..writer import to_json

Frame: TypeAlias = str | bytes


@dataclass(frozen=True)
class Incoming:
    """One meaning of a client's frame, as `ReceivedFrame` has it."""

    kind: FrameKind
    _: KW_ONLY
    pcm: bytes = b""
    text: str = ""
    call_id: str | None = None


class RealtimeForm(ABC):
    """One connection's wire: reads the client's frames and renders the service's. No I/O.

    Attributes:
        opening: The client's first message, which holds its settings; empty before it, and on
            the proxy's wire, which has none.
        input_rate_hz: The rate of the caller's audio.
        output_rate_hz: The rate of the agent's audio.
        calls: The tool calls that were sent, by their ids.
    """

    # True for a wire whose client speaks first.
    needs_opening = True

    def __init__(self, session: GatewaySession) -> None:
        """Make the wire of a new connection.

        Args:
            session: The session that it belongs to.
        """
        self.session = session
        self.opening: dict[str, Any] = {}
        self.input_rate_hz = session.input_rate_hz
        self.output_rate_hz = session.output_rate_hz
        self.calls: dict[str, ToolCall] = {}
        # The text of each side that was sent since its last final.
        self._said = {"user": "", "assistant": ""}
        # The calls whose results have arrived.
        self._resolved: set[str] = set()

    @property
    def is_open(self) -> bool:
        """True once the client has sent what opens the connection."""
        return bool(self.opening) or not self.needs_opening

    @abstractmethod
    def read(self, data: Frame) -> list[Incoming]:
        """Read a frame.

        Args:
            data: Text or bytes, as it came.

        Returns:
            Its meanings; empty for one that only opens the connection.

        Raises:
            InvalidRequest: The service would refuse it.
        """

    @abstractmethod
    def render(self, piece: RealtimePiece) -> Sequence[Frame]:
        """Return the frames of a piece.

        Args:
            piece: The piece.

        Raises:
            TypeError: This wire has no frame for it.
        """

    def end(self, reason: str) -> Sequence[Frame]:
        """Return the frames before the close of a session that is over.

        Args:
            reason: The reason.
        """
        return ()

    def resolve(self, call_id: Any, where: str) -> ToolCall:
        """Check that a result is for a call that was sent and has none yet.

        Args:
            call_id: The id in the result.
            where: Its place in the frame.

        Returns:
            The call.

        Raises:
            InvalidRequest: It is not.
        """
        call = self.calls.get(call_id) if isinstance(call_id, str) else None
        if call is None:
            raise wrong(where, call_id, f"one of the calls sent: {', '.join(self.calls)}")
        if call.id in self._resolved:
            raise InvalidRequest(f"{where}: found a second result of {call.id}, expected one")
        self._resolved.add(call.id)
        return call

    def rest_of(self, words: RealtimeTranscript) -> str:
        """Return what a wire of pieces has not sent yet of a transcript."""
        said, self._said[words.role] = self._said[words.role], words.text
        if words.final:
            self._said[words.role] = ""
        return words.text[len(said) :] if words.text.startswith(said) else words.text

    def unknown(self, piece: object) -> TypeError:
        """Make the error for a piece that this wire has no frame for."""
        return TypeError(
            f"realtime: found a piece of type {type(piece).__name__}, which the form "
            f"{self.session.form} has no frame for."
        )


def read_pcm(data: bytes) -> bytes:
    """Check that audio is whole samples, and return it; `InvalidRequest` otherwise."""
    if not data or len(data) % 2:
        raise InvalidRequest(f"audio: found {len(data)} bytes, expected whole samples of 2 bytes")
    return data


def decode_audio(value: Any, where: str) -> bytes:
    """Read audio in base64; `InvalidRequest` for anything else."""
    try:
        return read_pcm(base64.b64decode(value, validate=True))
    except (TypeError, ValueError, binascii.Error):
        raise wrong(where, str(value)[:40], "audio in base64") from None


def encode_audio(pcm: bytes) -> str:
    """Return audio in base64."""
    return base64.b64encode(pcm).decode()


def message(**fields: Any) -> str:
    """Return the text of a JSON message."""
    return to_json(fields)
