"""The tokenizer that cuts a reply into the texts of its requests."""

from __future__ import annotations

from typing import Literal

from livekit.agents import tokenize, utils
from livekit.agents.tokenize import SentenceStream, SentenceTokenizer, TokenData

from .first_words import FirstWordsTokenizer
from .pieces import Cutter

FirstWords = Literal["off", "sentence", "clause"]


class PieceTokenizer(tokenize.blingfire.SentenceTokenizer):
    """LiveKit's blingfire tokenizer with ``retain_format=True``, made safe for speech.

    Blingfire cuts most replies well, and leaves addresses, file names and common abbreviations
    whole. On top of it:

    - nothing is cut between a full stop and a digit ("Hauptstr. 12"), nor at a full stop in Thai,
      Lao, Burmese or Khmer;
    - the sentences of Burmese, Khmer, Amharic and other scripts end at their own marks;
    - quotes and brackets that close stay with their sentence;
    - no piece has more than 300 characters: providers refuse 5000 bytes, and the caller would wait
      for all of it to be written;
    - the pieces join to the text, and do not depend on how it is pushed.

    It holds no state of its own: streams and sessions may share it.
    """

    def __init__(self) -> None:
        super().__init__(retain_format=True)
        # Judges single sentences; the minimal length is the cutter's.
        self._sentences = tokenize.blingfire.SentenceTokenizer(
            min_sentence_len=1, retain_format=True
        )

    def tokenize(self, text: str, *, language: str | None = None) -> list[str]:
        """Cut a complete text."""
        cutter = Cutter(self._sentences.tokenize)
        return [*cutter.push(text), *cutter.flush()]

    def stream(self, *, language: str | None = None) -> SentenceStream:
        """Begin a reply."""
        return _PieceStream(Cutter(self._sentences.tokenize))


class _PieceStream(SentenceStream):
    """One reply. A flush ends its last piece."""

    def __init__(self, cutter: Cutter) -> None:
        super().__init__()
        self._cutter = cutter
        # Shared by the pieces up to the next flush.
        self._segment_id = utils.shortuuid()

    def push_text(self, text: str) -> None:
        self._check_not_closed()
        self._send(self._cutter.push(text))

    def flush(self) -> None:
        self._check_not_closed()
        self._send(self._cutter.flush())
        self._segment_id = utils.shortuuid()

    def end_input(self) -> None:
        self.flush()
        self._event_ch.close()

    async def aclose(self) -> None:
        self._event_ch.close()

    def _send(self, pieces: list[str]) -> None:
        for piece in pieces:
            self._event_ch.send_nowait(TokenData(token=piece, segment_id=self._segment_id))


def default_tokenizer(first_words: FirstWords = "sentence") -> SentenceTokenizer:
    """Make the tokenizer of a voice whose user brings none.

    A user's own tokenizer takes its place and is used as it is: it has no bound of 300 characters.

    Args:
        first_words: ``"sentence"`` or ``"clause"`` as of `FirstWordsTokenizer`, or ``"off"``.
    """
    pieces = PieceTokenizer()
    if first_words == "off":
        return pieces
    return FirstWordsTokenizer(tokenizer=pieces, first=first_words)
