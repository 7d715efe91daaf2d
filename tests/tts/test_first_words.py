"""The first piece of a reply: released early where it is certain, else left to the tokenizer."""

from __future__ import annotations

import asyncio

import pytest
from livekit.agents import tokenize

from livekit_plugins_speko import FirstWordsTokenizer, Speko
from livekit_plugins_speko.testing import GatewayRequest, LocalGateway, Speech
from livekit_plugins_speko.tts.first_piece import LONGEST_SEARCH
from livekit_plugins_speko.tts.first_words import First
from livekit_plugins_speko.tts.stream_adapter import SpekoTTSAdapter
from tests.helpers.support import NO_RETRY, tone
from tests.helpers.tokenizer_calls import OneTokenTokenizer, assert_closed, released, tokens_of
from tests.helpers.tts_calls import make_tts

# A first sentence, and after the bar as much of what follows as makes it certain.
SENTENCES = [
    *("Sure.| ", "OK.|\n", "Got it.| ", "Ja.| ", "Guten Tag.| ", "Oui.| ", "Sí.| "),
    *("Да.| ", "네.| ", "Let me check that.| ", "I can't find it.| "),
    *("It is well-known.| ", "I couldn't.| ", "  Of course.| ", "- Of course.| "),
    *("🙂 Of course.| ", "<break/>Of course.| ", "알겠습니다.| ", "What?!| ", "Sure!| "),
    *(
        "... of course.| ",
        "Ça va ?| ",
        "¿Cómo estás?| ",
        "حقا؟| ",
        "Is it 5?| ",
        "Sure..!| ",
        "好的。|",
    ),
    *("はい。|", "हाँ।|", "ሰላም።|", "ဟုတ်ကဲ့။|", "Այո։|", "បាទ។| ", "「好的」。|"),
    *("好的！|我", "好的!|我", "To jo.doe@example.com, always.| "),
    *("It is version 3.5, as always.| ", "At 10:30 sharp!| "),
    *("It is Yahoo!, as always.| ", "(Yes) of course.| ", "**Yes** of course.| "),
    *("„Ja“ natürlich genommen.| ", "«Ja» natürlich genommen.| ", "‘Ja’ of course.| "),
]

# Doubt at the first stop: nothing is cut, also where a later stop would be certain.
DOUBTFUL = [
    *("Dr. Smith is in.", "Mag. Huber ist da.", "Adw. Kowalski jest tutaj."),
    *("Hauptstr. Zwölf. Also!", "U.S. law! ", "J. Smith! ", "No. 5! ", "It is 42. And! "),
    *("Etc. They! ", "Hi, Sam. I! ", "e.g. cats! ", "It takes approx. Five! "),
    *("Es gilt allg. Recht! ", "Das ist einschl. Steuer! ", "Hmm... Let me! "),
    *("Es gilt insbes. Recht! ", "Das kostet zusätzl. Geld! ", "Vide rozdz. Drugi! "),
    *("To jest odpow. Numer! ", "Это гражд. Иванов! "),
    *("Well… Yes! ", "TV. On! "),
    *("ดร. สมชาย อยู่ที่นี่ครับ! ", "คุณโทรหา กทม. ได้เลยครับ! ", "ທ່ານ ດຣ. ສົມ! "),
    *("လ. သ! ", "ស.រ.អ. ក្រុង! ", "திரு. குமார்! ", "డా. రావు! ", "ಡಾ. ರಾವ್! "),
    *("ഡോ. നായർ! ", "डॉ. शर्मा। ", "د. أحمد! ", "ڈ۔ احمد! ", "ផ្លែប៉ោម ។ល។ និង! "),
    *("example.com. Then! ", "wiener2. Und! ", "surely . Then! ", "ab.court. So! "),
    *('"Sure enough. I will." Yes! ', "“Of course. I will.” ", "(Of course. I will.) "),
    *("„Ja! Gut“ ", "**Of course. I will.** ", "<b>Of course. I will.</b> "),
    *("'Of course. I will.' ", "«Ja! Oui» ", "「好的。我来。」然后。"),
    *("（好的！我来）然后。", '<a b="of course. I"/> Then! ', "_Sure! It is_ "),
    *("`x! y` ", 'He said "yes!" Then! ', "Sure!😊 Then! ", "5 * 3! Then! "),
]

# A first clause, and after the bar as much of what follows as makes it certain.
CLAUSES = [
    *("Your order from Tuesday has shipped,| ", "It was sent on Tuesday morning;|\n"),
    *("That is what I found in your account:| ", "That is what they told me –| "),
    *("That is what they told me then—|s", "Well, your order from Tuesday,| "),
    *("<b>It has shipped</b> on Tuesday,| ", "It was shipped by the 3rd,| "),
    *("It was shipped on March 3,| a", "您的订单已经发货了，|", "ご注文の品物は発送、|"),
    *("您的号码是一二三四，|请", "تم شحن طلبك يوم الثلاثاء الماضي،| "),
    "ትዕዛዝዎ ማክሰኞ ዕለት ጠዋት ላይ በሰላም ተልኳል፣| ",
]

# A first sentence with no clause that may be cut off.
WITHOUT_CLAUSES = [
    *("Sure, I will!| ", "Hi," + " " * 24 + "I will, today!| "),
    '<x y="a long attribute, to be sure"/> Hi, you!| ',
    "The numbers that I know are 1,000 and 3, 5 and 7!| ",
    "It is open every day of the week 9 – 5!| ",
    "The price of it is then about 3, $5!| ",
    "We are open here every day from 10: 30 on!| ",
    "您的电话号码是一三八，零零一，两百，五！|我",
    *("从那时起每天早上都是１０：３０吧！|我", "고객님의 전화번호는 공일, 이삼사!| "),
    *("เบอร์โทรศัพท์ของคุณลูกค้าคือ ๐๒, ๕๕๕!| ", "رقم الهاتف الخاص بك هو ٠١٢، ٣٤٥!| "),
    *("आपका फ़ोन नंबर यह है जी हाँ ५५, ६७!| ", "The letters of the code are A, B, C!| "),
    "They are open here from Friday–Saturday!| ",
    *(
        "It takes what is in main:foo here!| ",
        "They are all here (one, two, three)!| ",
        "It is what they told me here– then!| ",
    ),
]


async def assert_released_when_certain(first: First, case: str) -> None:
    """Not a character sooner or later, and without any text after it."""
    piece, after = case.split("|")
    tokenizer = FirstWordsTokenizer(tokenizer=OneTokenTokenizer(), first=first)
    for end in range(len(piece + after)):
        assert await released(tokenizer, (piece + after)[:end]) == []
    assert (await released(tokenizer, piece + after))[0] == piece


@pytest.mark.parametrize("first", ["sentence", "clause"])
@pytest.mark.parametrize("case", SENTENCES)
async def test_first_sentence_is_released_once_it_is_certain(first: First, case: str) -> None:
    await assert_released_when_certain(first, case)


@pytest.mark.parametrize("first", ["sentence", "clause"])
@pytest.mark.parametrize("text", DOUBTFUL)
async def test_tokenizer_gets_the_complete_text_at_once_in_doubt(first: First, text: str) -> None:
    tokenizer = FirstWordsTokenizer(tokenizer=OneTokenTokenizer(), first=first)
    assert await released(tokenizer, text) == [text]


@pytest.mark.parametrize("case", CLAUSES)
async def test_long_first_clause_is_released_once_it_is_certain(case: str) -> None:
    await assert_released_when_certain("clause", case)
    text = case.replace("|", "")
    sentences = FirstWordsTokenizer(tokenizer=OneTokenTokenizer())
    assert await released(sentences, text) == []


@pytest.mark.parametrize("case", WITHOUT_CLAUSES)
async def test_short_clause_or_number_waits_for_the_sentence(case: str) -> None:
    await assert_released_when_certain("clause", case)


@pytest.mark.parametrize(("shortest", "too_short"), [("a" * 24, "a" * 23), ("我" * 8, "我" * 7)])
async def test_clause_has_24_characters_of_speech(shortest: str, too_short: str) -> None:
    clauses = FirstWordsTokenizer(tokenizer=OneTokenTokenizer(), first="clause")
    assert await released(clauses, f"{shortest}, b") == [f"{shortest},", " b"]
    assert await released(clauses, f"{too_short}, b") == []


@pytest.mark.parametrize(("length", "pieces"), [(300, 2), (301, 1)])
async def test_first_piece_is_searched_in_300_characters(length: int, pieces: int) -> None:
    text = "Sure! ".rjust(length, "a") + "x"
    tokenizer = FirstWordsTokenizer(tokenizer=OneTokenTokenizer())
    assert LONGEST_SEARCH == 300
    assert len(await released(tokenizer, text)) == pieces


async def test_first_piece_has_the_form_of_the_wrapped_tokenizer() -> None:
    stripping = FirstWordsTokenizer(tokenizer=tokenize.basic.SentenceTokenizer())
    assert await released(stripping, "  Sure. O") == ["Sure."]
    assert len(stripping.tokenize("What on earth were you thinking?!")) == 2
    assert await released(stripping, "What on earth were you thinking?! ") == [
        "What on earth were you thinking?!"
    ]


async def test_language_reaches_the_wrapped_tokenizer() -> None:
    wrapped = OneTokenTokenizer()
    tokenizer = FirstWordsTokenizer(tokenizer=wrapped)
    assert tokenizer.tokenize("Sure. Whole.", language="de") == ["Sure. Whole."]
    stream = tokenizer.stream(language="fr")
    stream.push_text("Sure. ")
    assert wrapped.languages == ["de", "fr", "fr"]
    await stream.aclose()


async def test_only_the_first_piece_of_a_stream_is_released_early() -> None:
    wrapped = OneTokenTokenizer()
    stream = FirstWordsTokenizer(tokenizer=wrapped).stream()
    reader = asyncio.create_task(tokens_of(stream))
    await asyncio.sleep(0)
    stream.flush()
    for text in ("Sure. ", "Yes. N"):
        stream.push_text(text)
    stream.flush()
    stream.push_text("Sure. ")
    stream.end_input()
    assert await asyncio.wait_for(reader, 5) == ["Sure.", " ", "Yes. N", "Sure. "]
    assert wrapped.calls == ["<flush>", " ", "Yes. N", "<flush>", "Sure. ", "<end>"]


async def test_flush_releases_the_buffered_text() -> None:
    wrapped = OneTokenTokenizer()
    stream = FirstWordsTokenizer(tokenizer=wrapped).stream()
    for text in ("One", "Sure. "):
        stream.push_text(text)
        stream.flush()
    assert wrapped.calls == ["One", "<flush>", "Sure. ", "<flush>"]
    await stream.aclose()


@pytest.mark.parametrize("text", ["", "Sure.", "Sure. ", "Dr. "])
async def test_stream_takes_no_text_after_its_end(text: str) -> None:
    stream = FirstWordsTokenizer(tokenizer=OneTokenTokenizer()).stream()
    stream.push_text(text)
    stream.end_input()
    assert stream.closed
    assert_closed(stream)
    assert "".join(await tokens_of(stream)) == text


async def test_closing_a_stream_ends_its_reader_and_closes_the_wrapped_stream() -> None:
    wrapped = OneTokenTokenizer()
    stream = FirstWordsTokenizer(tokenizer=wrapped).stream()
    reader = asyncio.create_task(tokens_of(stream))
    stream.push_text("Sure.")
    await stream.aclose()
    assert await asyncio.wait_for(reader, 5) == []
    assert wrapped.calls == ["<close>"]
    assert_closed(stream)


def test_invalid_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match=r"must be a SentenceTokenizer .* got str\.$"):
        FirstWordsTokenizer(tokenizer="x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r'first "off"\. Expected one of: sentence, clause\.$'):
        FirstWordsTokenizer(tokenizer=OneTokenTokenizer(), first="off")  # type: ignore[arg-type]


async def test_first_words_are_requested_before_the_second_sentence_is_written(
    gateway: LocalGateway, speko: Speko
) -> None:
    requested: asyncio.Queue[str] = asyncio.Queue()

    async def engine(request: GatewayRequest, /) -> Speech:
        requested.put_nowait(request.json["text"])
        return Speech(tone())

    gateway.synthesize.use(engine)
    tokenizer = FirstWordsTokenizer(tokenizer=OneTokenTokenizer())
    adapter = SpekoTTSAdapter(tts=make_tts(speko), sentence_tokenizer=tokenizer)
    async with adapter.stream(conn_options=NO_RETRY) as stream:
        stream.push_text("Sure. ")
        assert await asyncio.wait_for(requested.get(), 5) == "Sure."
        stream.push_text("Your order was shipped today.")
        stream.end_input()
        assert [audio async for audio in stream]
    assert requested.get_nowait() == "Your order was shipped today."
