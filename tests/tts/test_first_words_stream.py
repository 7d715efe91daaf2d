"""The stream around another tokenizer's: form, bound and ends of it, and a call over the wire."""

from __future__ import annotations

import asyncio

import pytest
from livekit.agents import tokenize, tts

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import GatewayRequest, LocalGateway, Speech
from livekit_plugins_speko.tts.first_piece import LONGEST_PIECE
from livekit_plugins_speko.tts.first_words import FirstWordsTokenizer
from tests.helpers.first_words_calls import (
    BASIC,
    NotedTokenizer,
    UncutTokenizer,
    first_words,
    released,
    spoken,
    tokens_of,
)
from tests.helpers.support import NO_RETRY, tone
from tests.helpers.tts_calls import make_tts

REPLY = "Sure. Your order was shipped today. It should arrive tomorrow."

# What the tokenizer wrapped has to say


async def test_what_follows_the_first_piece_is_cut_by_the_tokenizer_wrapped() -> None:
    first, *others = await spoken(first_words(), REPLY)
    assert first == "Sure."
    assert others == await spoken(BASIC, REPLY.removeprefix(first))


async def test_the_first_piece_has_the_form_that_the_tokenizer_wrapped_gives_it() -> None:
    stripping = first_words(tokenizer=tokenize.basic.SentenceTokenizer())
    assert await released(stripping, "  Sure. O") == ["Sure."]
    assert await released(first_words(tokenizer=BASIC), "  Sure. O") == ["  Sure."]


async def test_a_first_piece_that_the_tokenizer_wrapped_would_cut_stays_whole() -> None:
    piece = "What on earth were you thinking?!"
    assert len(BASIC.tokenize(piece)) == 2
    assert await released(first_words(), f"{piece} T") == [piece]
    cutting = NotedTokenizer("Sure", "ly")
    assert (await released(first_words(tokenizer=cutting), "Surely. T"))[0] == "Surely."


async def test_whoever_waits_from_the_beginning_hears_the_first_piece_first() -> None:
    stream = first_words(tokenizer=NotedTokenizer("Sure.")).stream()
    reader = asyncio.create_task(tokens_of(stream))
    await asyncio.sleep(0)
    stream.push_text("Sure. T")
    stream.end_input()
    assert await asyncio.wait_for(reader, 5) == ["Sure.", " T"]


async def test_a_first_piece_of_which_nothing_is_to_be_said_is_left_out() -> None:
    assert await spoken(first_words(tokenizer=NotedTokenizer()), ["(Laughs.)", " Sure."]) == [
        " Sure."
    ]


async def test_the_language_reaches_the_tokenizer_wrapped() -> None:
    noted = NotedTokenizer("whole", "text")
    tokenizer = first_words(tokenizer=noted)
    assert tokenizer.tokenize("Sure. Whole.", language="de") == ["whole", "text"]
    stream = tokenizer.stream(language="fr")
    stream.push_text("Sure. T")
    assert noted.asked == [("Sure. Whole.", "de"), (None, "fr"), ("Sure.", "fr")]
    await stream.aclose()


# The bound


@pytest.mark.parametrize("filler", ["a", " ", "!", '"', "<", "，", ".a", "1. ", "—"])
async def test_no_more_than_the_longest_piece_is_held_back_or_looked_at(filler: str) -> None:
    noted = NotedTokenizer()
    stream = first_words("clause", noted).stream()
    text = ("好" + filler * 2 * LONGEST_PIECE)[: LONGEST_PIECE + 10]
    for character in text:
        stream.push_text(character)
    held, *others = noted.calls
    assert held + "".join(others) == text
    assert len(held) <= LONGEST_PIECE
    assert len(others) >= 10
    await stream.aclose()


@pytest.mark.parametrize(("length", "found"), [(LONGEST_PIECE, True), (LONGEST_PIECE + 1, False)])
async def test_a_first_sentence_is_found_in_so_much_text_and_in_no_more(
    length: int, found: bool
) -> None:
    text = "Sure. T".rjust(length, "a") + "hat is it. " * 1000
    assert len(await released(first_words(tokenizer=UncutTokenizer()), [text])) == found


# Flushing, and the end


async def test_what_is_held_back_comes_out_with_a_flush() -> None:
    stream = first_words().stream()
    stream.push_text("Sure. ")
    stream.flush()
    assert (await asyncio.wait_for(anext(stream), 5)).token == "Sure. "
    await stream.aclose()


async def test_only_the_first_words_of_a_stream_are_released_early() -> None:
    noted = NotedTokenizer("Sure.")
    stream = first_words(tokenizer=noted).stream()
    stream.flush()
    for text in ("Sure. ", "Yes. N", "o. Yes."):
        stream.push_text(text)
    stream.flush()
    stream.push_text("Yes. No.")
    stream.end_input()
    assert noted.calls == ["<flush>", " Yes. N", "o. Yes.", "<flush>", "Yes. No.", "<end>"]
    assert (await tokens_of(stream))[0] == "Sure."


async def test_after_the_flush_of_a_first_piece_in_doubt_none_is_looked_for() -> None:
    noted = NotedTokenizer("Sure.")
    stream = first_words(tokenizer=noted).stream()
    for text in ("One", "Sure. Two"):
        stream.push_text(text)
        stream.flush()
    assert noted.calls == ["One", "<flush>", "Sure. Two", "<flush>"]
    await stream.aclose()


async def test_nothing_comes_of_nothing() -> None:
    noted = NotedTokenizer()
    assert await spoken(first_words(tokenizer=noted), []) == []
    assert await spoken(first_words(tokenizer=noted), ["", ""]) == []
    assert noted.calls == ["<end>", "<end>"]


@pytest.mark.parametrize("text", ["", "Sure.", "Sure. T", "Sure. That is it, then. Yes."])
async def test_after_its_end_a_stream_takes_no_more(text: str) -> None:
    stream = first_words(tokenizer=NotedTokenizer("Sure.")).stream()
    stream.push_text(text)
    assert not stream.closed
    stream.end_input()
    assert stream.closed
    for call in (lambda: stream.push_text("x"), stream.flush, stream.end_input):
        with pytest.raises(RuntimeError, match="is closed"):
            call()
    assert "".join(await tokens_of(stream)) == text


@pytest.mark.parametrize("text", ["", "Sure.", "Sure. T"])
async def test_closing_a_stream_ends_whoever_waits_for_it_and_closes_the_stream_wrapped(
    text: str,
) -> None:
    noted = NotedTokenizer("Sure.")
    stream = first_words(tokenizer=noted).stream()
    reader = asyncio.create_task(tokens_of(stream))
    stream.push_text(text)
    await stream.aclose()
    await stream.aclose()
    assert "".join(await asyncio.wait_for(reader, 5)) == (text if text.endswith("T") else "")
    assert noted.calls[-1] == "<close>"
    with pytest.raises(RuntimeError, match="is closed"):
        stream.push_text("x")


# Misuse


def test_what_is_no_tokenizer_is_refused() -> None:
    with pytest.raises(TypeError, match=r"must be a SentenceTokenizer .* got str\.$"):
        FirstWordsTokenizer(tokenizer="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("first", ["off", "", None, ["sentence"]])
def test_first_words_that_do_not_exist_are_refused(first: object) -> None:
    with pytest.raises(ValueError, match=r"unknown first .* Expected one of: sentence, clause\.$"):
        FirstWordsTokenizer(tokenizer=BASIC, first=first)  # type: ignore[arg-type]


# A call


async def test_the_first_words_are_asked_for_before_the_second_sentence_is_written(
    gateway: LocalGateway, speko: Speko
) -> None:
    asked: asyncio.Queue[str] = asyncio.Queue()

    async def engine(request: GatewayRequest, /) -> Speech:
        asked.put_nowait(request.json["text"])
        return Speech(tone())

    gateway.synthesize.use(engine)
    async with (
        make_tts(speko) as voice,
        tts.StreamAdapter(tts=voice, sentence_tokenizer=first_words()).stream(
            conn_options=NO_RETRY
        ) as stream,
    ):
        stream.push_text("Sure. Your")
        assert await asyncio.wait_for(asked.get(), 5) == "Sure."
        stream.push_text(" order was shipped today.")
        stream.end_input()
        assert [audio async for audio in stream]
    assert asked.get_nowait() == "Your order was shipped today."
