"""Pieces that the codecs share: JSON, PCM of odd lengths, and texts that grow. No I/O."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from ..realtime_events import Role, Transcript
from . import SAMPLE_BYTES

FRAMES_PER_S = 50
"""Frames of audio that hold a second: 20 ms each."""

MAX_COUNT = 10**12
"""Largest count that is believed."""


def read_object(frame: str | bytes) -> dict[str, Any] | None:
    """Parse the JSON object of a frame; None for anything else."""
    try:
        text = frame if isinstance(frame, str) else frame.decode()
        value = json.loads(text)
        if "\\ud" in text or "\\uD" in text:
            # Half of a surrogate pair can be written as JSON and as nothing else.
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


_COMPACT = json.JSONEncoder(separators=(",", ":"))


def to_json(value: object) -> str:
    """Write compact JSON."""
    return _COMPACT.encode(value)


def to_base64(pcm: bytes) -> str:
    """Write PCM as a JSON message holds it."""
    return base64.b64encode(pcm).decode("ascii")


def read_base64(value: object) -> bytes:
    """Parse PCM out of a JSON message; nothing where it is none."""
    if not isinstance(value, str):
        return b""
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        return b""


def read_map(value: object, *keys: str) -> Mapping[str, Any]:
    """Return the object at a path of keys; an empty one where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def read_text(value: object) -> str:
    """Return a text; an empty one for any other value."""
    return value if isinstance(value, str) else ""


def read_count(value: object) -> int:
    """Return a count; 0 for any other value."""
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return value if 0 <= value <= MAX_COUNT else 0


class WholeSamples:
    """Makes pieces of PCM end between two samples: half a sample waits for the next piece."""

    def __init__(self) -> None:
        # The first byte of a sample whose second has not come. Empty without one.
        self._half = b""

    def feed(self, pcm: bytes) -> bytes:
        """Return the whole samples so far."""
        if not self._half and len(pcm) % 2 == 0:
            return pcm
        pcm = self._half + pcm
        even = len(pcm) - len(pcm) % 2
        self._half = pcm[even:]
        return pcm[:even]

    def frames(self, pcm: bytes, sample_rate: int) -> list[bytes]:
        """Return the whole samples so far, in frames of 20 ms and a rest."""
        pcm = self.feed(pcm)
        size = sample_rate // FRAMES_PER_S * SAMPLE_BYTES
        return [pcm[at : at + size] for at in range(0, len(pcm), size)]

    def reset(self) -> None:
        """Drop the half sample: what follows is other audio."""
        self._half = b""


class GrowingText:
    """One role's utterance, which comes piece by piece or as the whole so far."""

    def __init__(self, role: Role) -> None:
        self._role = role
        # All of the utterance so far. Empty between two utterances.
        self.text = ""

    def append(self, piece: str) -> list[Transcript]:
        """Take the next piece."""
        return self.replace(self.text + piece) if piece else []

    def replace(self, text: str) -> list[Transcript]:
        """Take the whole so far, which is not empty."""
        self.text = text
        return [Transcript(role=self._role, text=text, final=False)]

    def finish(self, text: str = "") -> list[Transcript]:
        """End the utterance, with its whole text where it is known. A blank one has no final."""
        text, self.text = text or self.text, ""
        return [Transcript(role=self._role, text=text, final=True)] if text.strip() else []

    def drop(self) -> None:
        """Forget the utterance."""
        self.text = ""


class GuessedText:
    """One role's utterances on a wire that does not say if a text is a piece or the whole so far.

    Once a text begins with the one before it, the texts of the role are cumulative for good, and
    replace each other. Until then a text is a piece.
    """

    def __init__(self, role: Role) -> None:
        self._growing = GrowingText(role)
        # True once a text began with the one before it.
        self._is_cumulative = False
        # The latest text of the utterance, as it came. Empty before its first.
        self._latest = ""

    @property
    def is_open(self) -> bool:
        """Return True during an utterance."""
        return bool(self._growing.text)

    def drop(self) -> None:
        """Forget the utterance."""
        self._growing.drop()
        self._latest = ""

    def feed(self, text: str, *, final: bool) -> list[Transcript]:
        """Take a text as it came. An empty final ends the utterance with what came before."""
        whole = self._growing.text
        if self._latest and text.startswith(self._latest):
            self._is_cumulative = True
        # A final may repeat all of the pieces before it.
        is_whole = self._is_cumulative or (final and text.startswith(whole))
        joined = text if text and is_whole else whole + text
        if final:
            self._latest = ""
            return self._growing.finish(joined)
        self._latest = text or self._latest
        return self._growing.replace(joined) if text else []


class ReplyText(GuessedText):
    """The agent's utterances. Of one that the caller cut, a rest may come, which is no one's."""

    def __init__(self) -> None:
        super().__init__("assistant")
        # True while the rest of an utterance that was cut may come.
        self._is_cut = False
        # True while words of the caller are due which led to what the agent says.
        self._is_line_due = False

    def cut(self) -> None:
        """End the utterance under way, if one is, without a final."""
        self._is_cut = self._is_cut or self.is_open
        self.drop()

    def interrupted(self) -> None:
        """Note that the caller began to speak."""
        self._is_line_due = True
        self.cut()

    def committed(self) -> None:
        """Note that the caller's turn was committed, whose words may follow the reply."""
        self._is_line_due = True

    def caller_said(self, *, is_first: bool) -> None:
        """Note words of the caller. The first of a line that is not due cut the agent."""
        if is_first and not self._is_line_due:
            self.cut()
        else:
            self.skip_rest()
        self._is_line_due = False

    def skip_rest(self) -> None:
        """Begin anew if the utterance before was cut, since no more of it comes."""
        if self._is_cut:
            self._is_cut = False
            self.drop()
