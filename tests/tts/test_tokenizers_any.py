"""Any reply, pushed in any parts, through LiveKit's tokenizers and ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents import tokenize
from livekit.agents.tokenize import SentenceTokenizer

from livekit_plugins_speko import FirstWordsTokenizer
from livekit_plugins_speko.tts.first_piece import FirstPiece, Verdict
from livekit_plugins_speko.tts.first_words import First
from livekit_plugins_speko.tts.tokenizer import FirstWords, default_tokenizer
from tests.helpers.tokenizer_calls import cut, cuts, pieces, replies


@pytest.mark.parametrize("first_words", ["off", "sentence", "clause"])
@given(reply=replies, cuts=cuts)
async def test_pieces_join_to_the_reply_and_do_not_depend_on_the_pushes(
    first_words: FirstWords, reply: str, cuts: list[int]
) -> None:
    tokenizer = default_tokenizer(first_words)
    tokens = await pieces(tokenizer, cut(reply, cuts))
    assert tokens == await pieces(tokenizer, [reply]) == await pieces(tokenizer, reply)
    assert "".join(tokens) == reply
    assert [token for token in tokens if not 0 < len(token) <= 300] == []


@pytest.mark.parametrize("first", ["sentence", "clause"])
@pytest.mark.parametrize(
    "wrapped",
    [
        tokenize.basic.SentenceTokenizer(),
        tokenize.blingfire.SentenceTokenizer(),
        tokenize.blingfire.SentenceTokenizer(retain_format=True, xml_aware=True),
    ],
    ids=["basic", "blingfire", "xml"],
)
@given(reply=replies, cuts=cuts)
async def test_any_wrapped_tokenizer_keeps_every_word_once(
    wrapped: SentenceTokenizer, first: First, reply: str, cuts: list[int]
) -> None:
    tokens = await pieces(FirstWordsTokenizer(tokenizer=wrapped, first=first), cut(reply, cuts))
    assert "".join("".join(tokens).split()) == "".join(reply.split())


@given(reply=replies, more=replies, clauses=st.booleans())
def test_certain_sentence_stays_certain_with_any_later_text(
    reply: str, more: str, clauses: bool
) -> None:
    verdict = FirstPiece(clauses=clauses).push(reply)
    if verdict is not Verdict.MORE:
        assert FirstPiece(clauses=clauses).push(reply + more) == verdict
