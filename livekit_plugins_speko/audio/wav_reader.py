"""WAV files that arrive in pieces, one after the other."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from .wav import (
    CHUNK,
    MAX_WAV_HEADER_BYTES,
    WavHeader,
    WavWalk,
    check_wav_complete,
    declared_bytes,
    malformed,
    read_wav_header,
)

SLACK_S = 0.1
"""A WAV of which less than this is missing, in seconds, is whole: its writer's estimate was off.

Writers declare what they expect of a codec or of a model's last block. More than that is words.
"""

_RIFF = b"RIFF"
_FORM_BYTES = 12
_CHUNK_NAME = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_ ]{3}")
_TEXT = re.compile(rb"[\t\r\n -~]{8}")


class WavReader:
    """Takes the samples out of WAV files that arrive in pieces. Fed by hand, does no I/O.

    A response may hold several files, one after the other: some providers send one for each
    sentence, or for each block of samples. Wherever ``RIFF....WAVE`` comes among the samples, the
    next file begins.

    Samples that follow the declared end belong to the file too: they come from providers that write
    the header of their first block and then samples alone. Chunks and text that follow do not.
    """

    def __init__(self) -> None:
        # Header of the file that is being read. None until the first one is complete.
        self._header: WavHeader | None = None
        # What came and could not be judged yet.
        self._pending = bytearray()
        # How far the chunks before the samples were walked over.
        self._walk = WavWalk()
        # Bytes of samples received of this file.
        self._received = 0
        # Bytes received since its last sample that are no audio.
        self._skipped = 0
        # Bytes of the chunk being skipped that have yet to come.
        self._chunk_left = 0
        # What is being read. A step returns False when it needs more bytes.
        self._step: Callable[[], bool] = self._read_header
        # What the call under way returns.
        self._taken: list[WavHeader | bytes] = []

    @property
    def complete(self) -> bool:
        """True once every declared sample has come; never in a streamed file."""
        return self._step in (self._read_after_samples, self._skip_chunk, self._skip_text)

    @property
    def ended(self) -> bool:
        """True once more has followed the samples than tags ever take: no further file comes."""
        return self._skipped > MAX_WAV_HEADER_BYTES

    def push(self, chunk: bytes) -> list[WavHeader | bytes]:
        """Take the next bytes, cut anywhere.

        Returns:
            The header of each file that begins in them, followed by the samples, cut anywhere.

        Raises:
            SpekoAdapterError: A file is malformed, code ``MALFORMED_AUDIO``. Retried.
        """
        self._pending += chunk
        while not self.ended and self._step():
            pass
        return self._give()

    def finish(self) -> list[WavHeader | bytes]:
        """Return the last samples, as no more bytes will come of a response that ended well.

        Raises:
            SpekoAdapterError: The last file was cut, code ``MALFORMED_AUDIO``. Retried.
        """
        if self._step == self._read_header and self._pending:
            raise malformed(f"it ends after {len(self._pending)} bytes, before its data chunk")
        if self._step == self._read_samples:
            self._take(len(self._pending))
            self._check_complete()
        return self._give()

    def _give(self) -> list[WavHeader | bytes]:
        taken, self._taken = self._taken, []
        return taken

    def _take(self, size: int) -> None:
        if size:
            self._taken.append(bytes(self._pending[:size]))
            del self._pending[:size]
            self._received += size

    def _check_complete(self) -> None:
        assert self._header is not None
        check_wav_complete(self._header, self._received, slack_s=SLACK_S)

    def _begin_file(self) -> bool:
        self._walk, self._received, self._skipped = WavWalk(), 0, 0
        self._step = self._read_header
        return True

    def _read_header(self) -> bool:
        header = read_wav_header(self._pending, self._walk)
        if header is None:
            return False
        self._header = header
        self._taken.append(header)
        del self._pending[: header.data_start]
        self._step = self._read_samples
        return True

    def _read_samples(self) -> bool:
        assert self._header is not None
        size = self._header.data_bytes
        next_file, found = _find_file(self._pending)
        if size is not None and size - self._received <= next_file:
            self._take(size - self._received)
            self._step = self._read_after_samples
            return True
        self._take(next_file)
        if found:
            self._check_complete()
            self._begin_file()
        return found

    def _read_after_samples(self) -> bool:
        """Judge what follows: a file, a chunk, more samples, or text."""
        assert self._header is not None
        if _is_file(self._pending, 0):
            return self._begin_file()
        if len(self._pending) <= _FORM_BYTES:
            return False
        if self._pending[0] == 0 and _is_part(self._pending, 1):
            # Padding, which follows whatever has an odd length.
            del self._pending[:1]
            return True
        name, size = CHUNK.unpack_from(self._pending)
        if name == b"data":
            del self._pending[: CHUNK.size]
            self._continue(declared_bytes(size, self._header.format))
        elif _is_part(self._pending, 0):
            self._chunk_left = CHUNK.size + size
            self._step = self._skip_chunk
        elif self._skipped or _TEXT.match(self._pending):
            self._step = self._skip_text
        else:
            self._continue(None)
        return True

    def _continue(self, data_bytes: int | None) -> None:
        assert self._header is not None
        self._header = replace(self._header, data_bytes=data_bytes)
        self._received = self._skipped = 0
        self._step = self._read_samples

    def _skip_chunk(self) -> bool:
        size = min(self._chunk_left, len(self._pending))
        self._skip(size)
        self._chunk_left -= size
        if self._chunk_left:
            return False
        self._step = self._read_after_samples
        return True

    def _skip_text(self) -> bool:
        next_file, found = _find_file(self._pending)
        self._skip(next_file)
        if found and not self.ended:
            self._begin_file()
        return found

    def _skip(self, size: int) -> None:
        del self._pending[:size]
        self._skipped += size


def _is_file(data: bytearray, position: int) -> bool:
    form = data[position : position + _FORM_BYTES]
    return form[:4] == _RIFF and form[8:] == b"WAVE"


def _is_part(data: bytearray, position: int) -> bool:
    """Return whether a chunk of a size that chunks have begins there, or a file."""
    name, size = CHUNK.unpack_from(data, position)
    known = _CHUNK_NAME.match(name) is not None and size <= MAX_WAV_HEADER_BYTES
    return known or _is_file(data, position)


def _find_file(data: bytearray) -> tuple[int, bool]:
    """Return where the next file begins, or may begin once more bytes come, and whether it does."""
    position = data.find(_RIFF)
    while position >= 0:
        if _is_file(data, position):
            return position, True
        if b"WAVE".startswith(data[position + 8 : position + _FORM_BYTES]):
            return position, False
        position = data.find(_RIFF, position + 1)
    cut = next((size for size in (3, 2, 1) if data.endswith(_RIFF[:size])), 0)
    return len(data) - cut, False
