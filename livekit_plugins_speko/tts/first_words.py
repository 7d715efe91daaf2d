"""The first words of a reply, synthesized as soon as they are complete."""

from __future__ import annotations

import asyncio
from typing import Literal, get_args

from livekit.agents import utils
from livekit.agents.tokenize import SentenceStream, SentenceTokenizer, TokenData

from .first_piece import FirstPiece, Verdict

First = Literal["sentence", "clause"]


class FirstWordsTokenizer(SentenceTokenizer):
    """A sentence tokenizer that releases the first piece of each stream early.

    LiveKit's tokenizers join a short sentence ("Sure.") to the next one and wait for that, while
    the caller hears nothing. This one releases the first piece by itself where it is certain to be
    complete, and leaves everything after it to the tokenizer that it wraps. In doubt it leaves the
    whole stream to it. Certain is only:

    - a mark that only ends sentences ("。", "।"), at once;
    - "!" or "?" before a space;
    - a full stop before a space, after a word of five or more lower-case letters, a short one that
      is no abbreviation ("that"), or one of a few openers alone ("Sure.", "Ja.", "Oui.");
    - with ``first="clause"``: a comma, semicolon, colon or dash before a space, or a wide one,
      after 24 characters of speech and not between two numerals.

    None of them is while a quote, a bracket, emphasis or a tag is open, nor beyond 300 characters.
    The text comes through exactly once, and the pieces do not depend on how it is pushed.

    It costs one more request for each reply that opens with a short sentence. Use it with an
    adapter that requests the next sentence ahead, or a silence follows the first piece.

    It holds no state of its own: streams and sessions may share it.
    """

    def __init__(self, *, tokenizer: SentenceTokenizer, first: First = "sentence") -> None:
        """Wrap a tokenizer.

        Args:
            tokenizer: Cuts what follows the first piece, and the whole reply in doubt. One with
                ``retain_format=True`` keeps the spaces between the sentences of a transcript.
            first: What the first piece is. ``"sentence"``: the first sentence, however short.
                ``"clause"``: also the first clause, at a comma, semicolon, colon or dash, when
                it has 24 characters or more (of Chinese, Japanese or Korean: 8). Speech is about
                15 a second, so they last 1.6 s. That covers the rest of the sentence being
                written (0.3 s) and its first sound (0.15 to 0.6 s), with 0.7 s to spare. "Sure,"
                is too short to cover it, and is no piece.

        Raises:
            TypeError: `tokenizer` is no sentence tokenizer.
            ValueError: `first` is neither of the two.
        """
        if not isinstance(tokenizer, SentenceTokenizer):
            raise TypeError(
                "FirstWordsTokenizer: tokenizer must be a SentenceTokenizer of "
                f"livekit.agents.tokenize, got {type(tokenizer).__name__}."
            )
        if first not in get_args(First):
            raise ValueError(
                f'FirstWordsTokenizer: unknown first "{first}". '
                f"Expected one of: {', '.join(get_args(First))}."
            )
        self._tokenizer = tokenizer
        self._first: First = first

    def tokenize(self, text: str, *, language: str | None = None) -> list[str]:
        """Cut a complete text as the wrapped tokenizer does: nothing of it can come sooner."""
        return self._tokenizer.tokenize(text, language=language)

    def stream(self, *, language: str | None = None) -> SentenceStream:
        """Begin a reply. The wrapped tokenizer's stream for it is closed with this one."""
        return _FirstWordsStream(
            tokenizer=self._tokenizer, clauses=self._first == "clause", language=language
        )


class _FirstWordsStream(SentenceStream):
    """One reply: its first piece, when that is certain, then the pieces of the wrapped stream.

    LiveKit makes a stream for each reply, so a flush begins no second first piece.
    """

    def __init__(
        self, *, tokenizer: SentenceTokenizer, clauses: bool, language: str | None
    ) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._language = language
        # Takes all text after the first piece.
        self._rest = tokenizer.stream(language=language)
        # Holds the text back while it searches. None once the first piece is found or given up.
        self._search: FirstPiece | None = FirstPiece(clauses=clauses)
        # The first piece until it is read. None before it is found, and when there is none.
        self._piece: TokenData | None = None
        # Set once the search is over, with or without a first piece.
        self._decided = asyncio.Event()

    def push_text(self, text: str) -> None:
        self._check_not_closed()
        if self._search is None:
            self._rest.push_text(text)
            return
        verdict = self._search.push(text)
        if verdict is Verdict.DOUBT:
            self._leave_to_the_rest()
        elif not isinstance(verdict, Verdict):
            self._release(self._search.text, verdict)

    def flush(self) -> None:
        self._check_not_closed()
        if self._search is not None and self._search.text:
            self._leave_to_the_rest()
        self._rest.flush()

    def end_input(self) -> None:
        self._check_not_closed()
        self._leave_to_the_rest()
        self._rest.end_input()
        self._event_ch.close()

    async def aclose(self) -> None:
        self._search = None
        self._decided.set()
        self._event_ch.close()
        await self._rest.aclose()

    async def __anext__(self) -> TokenData:
        await self._decided.wait()
        if self._piece is not None:
            piece, self._piece = self._piece, None
            return piece
        return await self._rest.__anext__()

    def _release(self, text: str, end: int) -> None:
        """Release the first piece in the wrapped tokenizer's form; push the rest to its stream."""
        self._search = None
        piece = text[:end]
        token = "".join(self._tokenizer.tokenize(piece, language=self._language))
        if token:
            self._piece = TokenData(token=token, segment_id=utils.shortuuid())
        self._decided.set()
        if rest := text[end:]:
            self._rest.push_text(rest)

    def _leave_to_the_rest(self) -> None:
        if self._search is not None:
            held, self._search = self._search.text, None
            self._decided.set()
            if held:
                self._rest.push_text(held)
