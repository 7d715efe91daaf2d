"""The first words of a reply, handed to synthesis as soon as they are whole."""

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
    the caller hears nothing. This one hands the first piece on by itself once it is certain that
    it is whole, and leaves everything behind it to the tokenizer that it wraps. So it does with all
    of the stream when there is doubt: an abbreviation that may end a sentence or not ("U.S. The"),
    a short name that looks like one ("Hi, Sam. I"), an ellipsis, an ordinal, a quote or a tag still
    open, a first line without a full stop, a first sentence beyond 400 characters. A piece is never
    cut after so many words, and the words come through exactly once.

    It costs one more request for each reply that opens with a short sentence. Use it with an
    adapter that asks for the next sentence ahead, or the first piece is followed by a silence.

    It holds no state of its own: streams and sessions may share it.
    """

    def __init__(self, *, tokenizer: SentenceTokenizer, first: First = "sentence") -> None:
        """Wrap a tokenizer.

        Args:
            tokenizer: Cuts what follows the first piece, and the whole where that is in doubt. One
                with ``retain_format=True`` keeps the spaces between the sentences of a transcript.
            first: What the first piece is. ``"sentence"``: the first sentence, however short.
                ``"clause"``: also the first clause, at a comma, semicolon, colon or dash, when
                it has 24 characters or more (of Chinese, Japanese or Korean: 8). Speech takes
                about 15 a second, so they last 1.6 s: as long as it takes to write the rest
                of the sentence (0.3 s) and to hear its first sound (0.15 to 0.6 s), and 0.7 s to
                spare. "Sure," and "Well," are too short to cover that, and are not said alone.

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
        """Cut a whole text, of which nothing can come sooner, as the wrapped tokenizer does."""
        return self._tokenizer.tokenize(text, language=language)

    def stream(self, *, language: str | None = None) -> SentenceStream:
        """Begin a reply. The wrapped tokenizer's own stream for it is closed with this one."""
        return _FirstWordsStream(
            tokenizer=self._tokenizer, clauses=self._first == "clause", language=language
        )


class _FirstWordsStream(SentenceStream):
    """One reply: its first piece, when it comes early, then what the wrapped stream makes of it.

    LiveKit makes a stream for each reply, so there is one first piece in it, whatever is flushed.
    """

    def __init__(
        self, *, tokenizer: SentenceTokenizer, clauses: bool, language: str | None
    ) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._language = language
        # Takes all the text that is not in the first piece.
        self._rest = tokenizer.stream(language=language)
        # Holds the text back while it looks. None once the first piece is out, or given up.
        self._search: FirstPiece | None = FirstPiece(clauses=clauses)
        # The first piece until it is fetched. None before it is found, and when there is none.
        self._piece: TokenData | None = None
        # Set when it is known whether there is a first piece, and when none can come any more.
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
        self._do_close()

    async def aclose(self) -> None:
        self._search = None
        self._decided.set()
        self._do_close()
        await self._rest.aclose()

    async def __anext__(self) -> TokenData:
        await self._decided.wait()
        if self._piece is not None:
            piece, self._piece = self._piece, None
            return piece
        return await self._rest.__anext__()

    def _release(self, text: str, end: int) -> None:
        """Hand out the first piece in the wrapped tokenizer's form, and the rest to its stream."""
        self._search = None
        piece = text[:end]
        tokens = self._tokenizer.tokenize(piece, language=self._language)
        # Where it would cut the piece ("What?!" is two for LiveKit's), the piece stays as it is.
        token = piece if len(tokens) > 1 else "".join(tokens)
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
