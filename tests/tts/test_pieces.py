"""The default tokenizer: text that stays in one piece, cuts between sentences, and the bound."""

from __future__ import annotations

import pytest

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import LocalGateway
from livekit_plugins_speko.tts.stream_adapter import SpekoTTSAdapter
from livekit_plugins_speko.tts.tokenizer import default_tokenizer
from tests.helpers.support import NO_RETRY
from tests.helpers.tokenizer_calls import assert_closed, released, tokens_of
from tests.helpers.tts_calls import make_tts, speech

TOKENIZER = default_tokenizer("off")

# Later sentences that are one piece.
WHOLE = [
    "You can write to anna.schmidt@example.de at any time of day.",
    "The address is https://www.example.co.uk/help?topic=returns&a=b.c for all of it.",
    "The file is called report.final.pdf, and version 2.0.1 of it is in your inbox.",
    "The meeting with Prof. Miller, Dr. Lee and Mrs. Ray is at nine in the morning.",
    "It is served with bread, butter, etc. and a glass of wine.",
    "We are open from 9 a.m. to 5 p.m. on weekdays, i.e. not today.",
    "Sie sprechen morgen mit Fr. Müller oder mit Dr. Huber in der Abteilung Einkauf.",
    "Sie erreichen uns in der Hauptstr. 12 oder unter Tel. +49 30 1234567 in Berlin.",
    "Der Termin ist am 3. Mai im 2. Stock, also Dienstag, 3. Mai, um neun.",
    "Vous pouvez voir M. Dupont au 3e étage, av. Foch, demain matin à neuf heures.",
    "Zapraszamy na ul. 3 Maja, pok. 12, tel. (22) 555 do godziny szesnastej.",
    "La tienda está en la Avda. 25 de Mayo, núm. 7, a la derecha.",
    "Мы находимся на ул. 8 Марта, д. 5, корп. 2, рядом с метро.",
    "عيادتنا عند د. أحمد في شارع النيل، ص.ب. ١٢، كل يوم.",
    "คุณโทรหาเราที่สำนักงานใหญ่ กทม. ได้เลยครับ และ ดร. สมชาย จะรอ",
    "இங்கே நீங்கள் நாளை காலை திரு. குமார் அவர்களை பார்க்கலாம்.",
    "మీరు రేపు ఉదయం ఇక్కడ డా. రావు గారిని కలవవచ్చు అండి.",
    "Take items such as the Fig. (7) and the Hausnr. #12 with you.",
    "He said “We are open.” and then he left us for the day.",
    'Wait here for it <say as="a. B"/> and then for me.',
]

# Replies of several sentences, with a bar at each cut.
PARTED = [
    "Thanks a lot for waiting.| Your order was shipped on Tuesday.| Is there anything else?| Bye.",
    "Sure. That is what I found for you!| Yes? Fine. Then we are done here. 5 stars, please.",
    "That is really great news for you!!| (See you at ten o'clock tomorrow.)| We are all set.",
    "He said to me: “It is all set.”| And **that is all there is.**| OK.",
    "It was shipped in the year 2024.| Dr. Lee has signed for it.| We are done with it. 😊",
    "Here is a list of what we have.|\n1. Bread and butter, and so on.|\n2. A glass of wine.",
    "Vielen Dank für Ihre Geduld.| Sie wohnen in der Hauptstr. 12.| Wollen Sie warten?",
    "「ご予約は明日の午後三時に確かに承りました。|本当にありがとうございます。」",
    "您的订单已经在星期二上午从我们的仓库发货了。|预计明天下午可以送到您的家里，请注意查收！|"
    "iPhone 也一起到。还有什么可以帮您的吗？",
    "他说完了今天早上的所有事情以后就离开了这里。|“好的，”我对他说。",
    "आपका ऑर्डर मंगलवार को भेज दिया गया है।| यह कल आपके पास पहुँच जाएगा।",
    "تم شحن طلبك يوم الثلاثاء الماضي.| هل تحتاج إلى أي شيء آخر؟| شكرا لك.",
    "ការបញ្ជាទិញរបស់អ្នកត្រូវបានផ្ញើ។| តើអ្នកត្រូវការអ្វីទៀតទេ ផ្លែឈើ ។ល។ និងទឹក។| សូមអរគុណ។",
    "သင့်အော်ဒါကို ပို့ပြီးပါပြီ။| နောက်ထပ် ဘာကူညီရမလဲရှင်။",
    "ትዕዛዝዎ ማክሰኞ ዕለት ተልኳል።| ሌላ የሚያስፈልግዎት ነገር አለ፧| እናመሰግናለን።",
    "Ձեր պատվերը ուղարկվել է երեքշաբթի։| Ուրիշ բան պե՞տք է ձեզ այսօր։",
    "Now this has 19 of. So it does not end there.| This one has 20 now.| And so on.",
    "주문하신 상품은 화요일에 발송되었습니다.| 더 필요하신 것이 혹시 있으신지 궁금합니다.| 네.",
]

# A bar where a text is cut whose 300th character is anywhere after it.
BOUNDED = [
    *("one thing,| and more of it", "one thing;| and", "one thing:| five", "all of it –| and"),
    *("and—|so on", "it is so!| and then", "is it so?| and then", "wait…| and then"),
    *("one thing,”| he said", "one\n|- two", "one| further", "for| Prof. Miller"),
    *("at| 12 345 678", "at| 1,234,567.89", "on| 1, 2", "at| 9 – 5"),
    *("to| anna.schmidt@example.de", "at| https://www.example.co.uk/a?b=c,d;e:f", "by| ٠١٢٣٤"),
    *("on| <break a='b c, d'/>", "字有面包，|黄油和果汁", "字“好的，”|他说", "字好的！|他说"),
    *(
        "字号码|一二三，四五六",
        "字号码|12.5",
        "字我的|iPhone",
        "字我的|한국어",
        "字一个，|“好的，”",
        "ສະບາຍດີ ເຈົ້າ,| ສະບາຍດີ",
    ),
    *("สวัสดี| ครับ", "สวัสดี|๑๒๓.๔๕๖", "字都是|<b>", "สวัสดี|iPhone"),
]
# Characters of several code points.
CHARACTERS = [
    *("👨‍👩‍👧", "👍🏽", "🇩🇪", "❤️", "e\u0301", "क्षि", "กำ", "เก", "ໄກ", "ក្ក", "က္က"),
    *("\u1100\u1161\u11a8", "\r\n", "🏴󠁧󠁢󠁷󠁬󠁳󠁿"),
]


def parts(case: str) -> list[str]:
    return case.split("|")


@pytest.mark.parametrize("text", WHOLE)
def test_address_name_or_number_stays_whole_in_a_later_sentence(text: str) -> None:
    first = "Thanks a lot for waiting."
    assert TOKENIZER.tokenize(f"{first} {text}") == [first, f" {text}"]


@pytest.mark.parametrize("case", PARTED)
def test_sentences_of_20_characters_are_separated(case: str) -> None:
    assert TOKENIZER.tokenize(case.replace("|", "")) == parts(case)


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("Thanks a lot for waiting. Y", 1),
        ("Thanks a lot for it all? Y", 1),
        ("Thanks a lot for doing it. Y", 1),
        ("Thanks a lot to you, Sam. Your ", 1),
        ("Thanks for these, in the U.S. The ", 1),
        ("すべてのご予約を明日の午後三時に承りました。本", 1),
        ("ትዕዛዝዎ ማክሰኞ ዕለት ተልኳል። ሌ", 1),
        ("आपका ऑर्डर मंगलवार को भेज दिया गया। य", 1),
    ],
)
async def test_sentence_is_released_with_the_next_word_at_the_latest(
    text: str, missing: int
) -> None:
    (piece,) = await released(TOKENIZER, text)
    assert text.startswith(piece)
    assert await released(TOKENIZER, text[:-missing]) == []


@pytest.mark.parametrize("case", BOUNDED)
def test_long_text_is_cut_at_its_last_clause_or_space(case: str) -> None:
    before, after = parts(case)
    filler = "word " * 60 if before.isascii() or " " in before else "字" * 300
    for limit in range(len(after)):
        start = filler[-(300 - limit - len(before)) :] + before
        assert TOKENIZER.tokenize(start + after + " word" * 20)[0] == start


@pytest.mark.parametrize("unit", CHARACTERS)
def test_text_without_spaces_is_cut_between_characters(unit: str) -> None:
    for start in ("", "x", "xx"):
        first, *others = TOKENIZER.tokenize(start + unit * 300)
        assert 300 - len(unit) < len(first) <= 300
        assert set("".join((first, *others)).removeprefix(start).split(unit)) == {""}
        assert (len(first) - len(start)) % len(unit) == 0


@pytest.mark.parametrize("unit", ["a", "7", "1.", "<say as='", "\u0301", " ", "a.b@"])
def test_word_number_or_tag_that_is_too_long_is_cut(unit: str) -> None:
    tokens = TOKENIZER.tokenize(unit * 400)
    assert "".join(tokens) == unit * 400
    assert {len(token) > 300 for token in tokens} == {False}


def test_long_text_of_numbers_or_burmese_is_cut_as_late_as_allowed() -> None:
    assert TOKENIZER.tokenize("12 " * 150)[0] == ("12 " * 100).rstrip()
    assert TOKENIZER.tokenize("ကင်" * 150)[0] == "ကင်" * 100


async def test_flush_ends_a_piece_and_its_segment() -> None:
    stream = TOKENIZER.stream()
    for text in ("Sure", "", "Yes"):
        stream.push_text(text)
        stream.flush()
    stream.push_text("No")
    stream.end_input()
    tokens = [token async for token in stream]
    assert [token.token for token in tokens] == ["Sure", "Yes", "No"]
    assert len({token.segment_id for token in tokens}) == 3
    assert_closed(stream)


async def test_closing_a_stream_ends_its_reader() -> None:
    stream = TOKENIZER.stream()
    stream.push_text("Sure. ")
    await stream.aclose()
    assert await tokens_of(stream) == []


@pytest.mark.parametrize(
    "case",
    [
        "Mag. Huber ist schon da.| Wollen Sie warten?",
        "திரு. குமார் இங்கே இருக்கிறார்.| நீங்கள் வரலாம்",
        "ดร. สมชาย อยู่ที่นี่ครับ และเขาว่างวันพรุ่งนี้",
        "Sure.| Write to anna.schmidt@example.de, please.",
        "That is really great news for you!!",
        "「ご予約は明日の午後三時に承りました。本当にありがとうございます。」",
        "(See you at ten o'clock tomorrow morning.)",
        "Vielen Dank für Ihre Geduld.| Sie erreichen uns in der Hauptstr. 12 in der Stadt.",
    ],
)
async def test_each_piece_of_a_reply_is_one_request(
    gateway: LocalGateway, speko: Speko, case: str
) -> None:
    gateway.synthesize.always(speech())
    adapter = SpekoTTSAdapter(tts=make_tts(speko), sentence_tokenizer=default_tokenizer())
    async with adapter.stream(conn_options=NO_RETRY) as stream:
        for character in case.replace("|", ""):
            stream.push_text(character)
        stream.end_input()
        assert [audio async for audio in stream]
    requests = gateway.requests_to("synthesize")
    assert [request.json["text"] for request in requests] == case.split("| ")
