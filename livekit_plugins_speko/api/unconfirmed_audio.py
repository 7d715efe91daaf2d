"""The audio that no final transcript covers yet, and its way to the service. No I/O."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from .stream_clock import StreamClock

REPLAY_S = 10.0
"""Most audio from before a drop that is sent again, in seconds."""

FLUSH_ANSWER_S = 1.0
"""Longest time from a flush to its final, in seconds. Providers that obey take 0.2; a final that
comes later is of the provider's own endpointing."""

_SAMPLE_BYTES = 2
# Longest piece that is sent at once, in seconds: live audio as it arrives, more after a drop.
_PIECE_S = 0.25


@dataclass(slots=True)
class Audio:
    """A piece of the stream. `place` is its first byte's, counted from the stream's first."""

    place: int
    pcm: bytes


@dataclass(slots=True)
class Flush:
    """A flush after the byte before `place`.

    Attributes:
        place: The first byte after it.
        speech_end: End of the last audio before it that was not silent, in bytes.
        sent_s: Second at which it was sent on this connection.
        answered: True once its final came.
    """

    place: int
    speech_end: int
    sent_s: float = 0.0
    answered: bool = False


class UnconfirmedAudio:
    """Audio and flushes in their order, from the last final on, and what of it was sent.

    Places are bytes since the stream's first. Of audio that was sent, the last 10 s are kept;
    audio that was not, all of it.
    """

    def __init__(self, sample_rate: int) -> None:
        """Begin empty. The audio is mono PCM16 at `sample_rate` Hz."""
        self.bytes_per_s = sample_rate * _SAMPLE_BYTES
        self.clock = StreamClock(self.bytes_per_s)
        self._keep = round(REPLAY_S * self.bytes_per_s)
        self._most = round(_PIECE_S * self.bytes_per_s)
        # Sent on this connection and not covered by a final.
        self._sent: deque[Audio | Flush] = deque()
        # Not sent on this connection.
        self._unsent: deque[Audio | Flush] = deque()
        # End of the audio pushed, of the audio sent, and of what finals cover.
        self._pushed_to = 0
        self._sent_to = 0
        self._confirmed_to = 0
        # End of the last audio that was not digital silence.
        self._speech_end = 0
        # Place of the first byte that this connection was sent. None before it.
        self._origin: int | None = None
        # True if something was pushed since the last `rewind` that is worth a connection.
        self.has_news = False

    @property
    def is_empty(self) -> bool:
        """True if finals cover all of the audio."""
        return not any(isinstance(item, Audio) for item in (*self._sent, *self._unsent))

    @property
    def unsent_s(self) -> float:
        """Seconds of audio that wait to be sent."""
        return (self._pushed_to - self._sent_to) / self.bytes_per_s if self._unsent else 0.0

    def awaits_final(self, now_s: float) -> bool:
        """Return True while the final of a flush may still come."""
        return self._flush_answered(now_s) is not None

    def push(self, pcm: bytes, now_s: float) -> None:
        """Append audio that arrived `now_s` seconds after the stream began."""
        if not pcm:
            return
        self.clock.push(len(pcm), now_s)
        self._unsent.append(Audio(self._pushed_to, pcm))
        self._pushed_to += len(pcm)
        if pcm.count(0) != len(pcm):
            self._speech_end = self._pushed_to
        self.has_news = True

    def flush(self) -> None:
        """Append a flush."""
        self._unsent.append(Flush(self._pushed_to, self._speech_end))
        self.has_news = self.has_news or not self.is_empty

    def take(self, now_s: float) -> bytes | Flush | None:
        """Return the next item to send, which then counts as sent; None without any."""
        if not self._unsent:
            return None
        item = self._unsent.popleft()
        if isinstance(item, Flush):
            item.sent_s = now_s
            self._sent.append(item)
            return item
        if self._origin is None:
            self._origin = item.place
        item = self._joined(item)
        self._sent.append(item)
        self._sent_to = item.place + len(item.pcm)
        self._forget()
        return item.pcm

    def _joined(self, first: Audio) -> Audio:
        """Join a piece with those that wait after it, as long as the whole stays short."""
        size = len(first.pcm)
        pieces = [first.pcm]
        while self._unsent and isinstance(following := self._unsent[0], Audio):
            size += len(following.pcm)
            if size > self._most:
                break
            pieces.append(following.pcm)
            self._unsent.popleft()
        return first if len(pieces) == 1 else Audio(first.place, b"".join(pieces))

    def _forget(self) -> None:
        """Let go of what a drop could not bring back."""
        while self._sent and self._end_of(self._sent[0]) <= self._sent_to - self._keep:
            self._sent.popleft()

    @staticmethod
    def _end_of(item: Audio | Flush) -> int:
        return item.place if isinstance(item, Flush) else item.place + len(item.pcm)

    def place_of(self, connection_s: float) -> int:
        """Return the byte at a connection's second, which is within what the connection got."""
        if self._origin is None:
            return self._sent_to
        # In this order: a number that is huge becomes infinite when it is multiplied.
        sent_s = (self._sent_to - self._origin) / self.bytes_per_s
        samples = round(min(max(connection_s, 0.0), sent_s) * self.bytes_per_s / _SAMPLE_BYTES)
        return min(self._origin + samples * _SAMPLE_BYTES, self._sent_to)

    def stream_s(self, connection_s: float, *, end: bool = False) -> float:
        """Return the stream's second of a connection's second, as the end of a word or a start."""
        return self.clock.time_of(self.place_of(connection_s), end=end)

    def confirm(self, now_s: float, end_s: float | None) -> None:
        """Note a final: what it covers is not sent again.

        Args:
            now_s: Second at which it came.
            end_s: End of its last word in the connection's seconds, or None without times.
        """
        flush = self._flush_answered(now_s)
        if flush is not None:
            flush.answered = True
        cut = self.place_of(end_s) if end_s is not None else self._confirmed_to
        if cut <= self._confirmed_to:  # no times, or none that can be
            cut = self._sent_to if flush is None else flush.place
        self._confirmed_to = max(cut, self._confirmed_to)
        self._drop_to(self._confirmed_to)

    def settle_flush(self, now_s: float) -> None:
        """Note an empty final: its flush found nothing to finalise."""
        flush = self._flush_answered(now_s)
        if flush is not None:
            flush.answered = True

    def _flush_answered(self, now_s: float) -> Flush | None:
        """Return the flush whose final came, unless the provider ended the segment by itself.

        Finals come in the order of the flushes. A flush after nothing but silence has none.
        """
        for item in self._sent:
            if (
                isinstance(item, Flush)
                and not item.answered
                and item.speech_end > self._confirmed_to
                and now_s - item.sent_s <= FLUSH_ANSWER_S
            ):
                return item
        return None

    def _drop_to(self, cut: int) -> None:
        """Remove what lies before `cut`, in what was sent."""
        while self._sent and self._end_of(self._sent[0]) <= cut:
            self._sent.popleft()
        if self._sent and isinstance(first := self._sent[0], Audio) and first.place < cut:
            self._sent[0] = Audio(cut, first.pcm[cut - first.place :])

    def rewind(self) -> None:
        """Make ready for a new connection: what no final covers is to be sent again."""
        self._drop_to(max(self._confirmed_to, self._sent_to - self._keep))
        self.has_news = bool(self._unsent)
        again = [item for item in self._sent if isinstance(item, Audio) or not item.answered]
        self._sent.clear()
        self._unsent.extendleft(reversed(again))
        places = (item.place for item in self._unsent if isinstance(item, Audio))
        self._sent_to = next(places, self._pushed_to)
        self._origin = None

    def clear(self) -> None:
        """Let go of everything, since no connection will be made any more."""
        self._sent.clear()
        self._unsent.clear()
