"""Any reply, cut anywhere: no word is lost, none said twice, and the cuts change nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents import tokenize

from livekit_plugins_speko.tts.first_piece import FirstPiece, Verdict
from livekit_plugins_speko.tts.first_words import First
from tests.helpers.first_words_calls import first_words, spoken

PARTS = (
    *("Sure", "Your order was shipped", " ", "  ", "\n", ". ", "! ", "? ", ", ", "; ", ": ", "."),
    *("...", "…", "?!", "—", " – ", '"', "'", "(", ")", "**", "_", "<b>", "</b>", "<break/>", "<"),
    *("Jr. ", "Ph.D", "John", "Brig. ", "Mass", "‘", "’", "‚", "'n'", "B", "Ny", "Tag"),
    *("Dr. ", "e.g. ", "a.m. ", "3.5", "1,000", "example.com", "z. B. ", "😊", "5", "a", "I", "/"),
    *("好的", "。", "，", "！", "「", "」", "１", "हाँ", "।", "نعم", "،", "؟", "۔", "네. ", "Да. "),
)
replies = st.lists(st.sampled_from(PARTS), max_size=40).map("".join)
cuts = st.lists(st.integers(0, 500), max_size=20)
firsts = st.sampled_from(["sentence", "clause"])


def cut(text: str, cuts: list[int]) -> list[str]:
    """The same text in pieces, some of them empty."""
    ends = [0, *sorted(at % (len(text) + 1) for at in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(ends)]


def words(tokens: list[str]) -> str:
    return "".join("".join(tokens).split())


@given(reply=replies, cuts=cuts, first=firsts)
async def test_a_tokenizer_that_keeps_the_format_keeps_every_character(
    reply: str, cuts: list[int], first: First
) -> None:
    heard = await spoken(first_words(first), cut(reply, cuts))
    assert "".join(heard) == reply


@pytest.mark.parametrize(
    "wrapped",
    [
        tokenize.basic.SentenceTokenizer(),
        tokenize.blingfire.SentenceTokenizer(),
        tokenize.blingfire.SentenceTokenizer(retain_format=True, xml_aware=True),
    ],
    ids=["basic", "blingfire", "xml"],
)
@given(reply=replies, cuts=cuts, first=firsts)
async def test_a_tokenizer_that_does_not_keeps_every_word(
    wrapped: tokenize.SentenceTokenizer, reply: str, cuts: list[int], first: First
) -> None:
    assert words(await spoken(first_words(first, wrapped), cut(reply, cuts))) == words([reply])


@given(reply=replies, cuts=cuts, clauses=st.booleans())
def test_where_the_first_piece_ends_does_not_depend_on_how_the_reply_is_cut(
    reply: str, cuts: list[int], clauses: bool
) -> None:
    def end(pieces: list[str]) -> int | Verdict:
        search = FirstPiece(clauses=clauses)
        verdicts = (search.push(piece) for piece in pieces)
        return next((v for v in verdicts if v is not Verdict.MORE), Verdict.MORE)

    assert end(cut(reply, cuts)) == end([reply]) == end(list(reply))


@given(reply=replies, more=replies, clauses=st.booleans())
def test_what_is_certain_stays_so_whatever_follows(reply: str, more: str, clauses: bool) -> None:
    verdict = FirstPiece(clauses=clauses).push(reply)
    if verdict is not Verdict.MORE:
        assert FirstPiece(clauses=clauses).push(reply + more) == verdict
