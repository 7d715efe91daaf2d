"""The first piece of a reply: when it is released, and when others decide about it."""

from __future__ import annotations

import pytest

from livekit_plugins_speko.tts.abbreviations import TITLES
from livekit_plugins_speko.tts.first_words import First
from tests.helpers.first_words_calls import (
    NotedTokenizer,
    UncutTokenizer,
    first_words,
    released,
    spoken,
)

# A first sentence, and behind the bar as much of what follows as it takes to be certain.
SENTENCES = [
    *("Sure.| O", "Of course!| I", "Okay?| W", "I can't.| L", "OK.| L", "What?!| N"),
    *("Sure..!| O", "Sure.|\n\nL", "  \n Sure.| O", "Sure!| 😊", "Sure.| -", "...Sure.| O"),
    *("- Sure.| O", "a) Surely.| O", "Sure :) it is.| O"),
    # What it closes belongs to it.
    *('He said "Sure."| T', "“Sure.”| T", "(Sure.)| T", "[“Sure.”]| T", "🙂 Sure.| O"),
    *("**Sure.**| T", "_Sure._| T", "***Sure***.| T", "`Sure`.| T", "<b>Sure.</b>| T"),
    *('<break time="0.5s"/> Sure.| T', "a < b <3 Surely.| T", "</b>Sure.| T", "Sure.| <"),
    *("<b><i>Sure.</i></b>| T", "</b><b>Sure.</b>| T"),
    # Stops within a word, and before a name.
    *("It costs $1,249.50 today.| N", "Version 3.5 is out.| I", "At 10:30 sharp!| W"),
    *("Write to jo.doe@example.com now.| I", "Dr. Smith is in.| W", "Mr. Lee?| Y"),
    *("See https://example.com/a.b?c=d#e.f today.| I", "**Dr.** Smith is in.| W"),
    *("In example.com/?page=2 now.| I", "It is Yahoo!, too.| I", "In Sankt-Veit.| I"),
    *("‘Sure.’| T", "'Sure.'| T", "‚Klar.‘| D", "I said ’tis so.| T", "I like rock 'n' roll.| T"),
    *("The dogs' bowl it was.| T", "Om acht uur 's avonds.| D", "We'll see.| T"),
    *("‚Prof. Huberts‘.| D", "**Prof. Smithson**.| W", "Hi, <b>Johnny</b>.| I"),
    *("<break/>. Sure.| T", "<break/>Prof. Smithson is in.| W"),
    # Short words that end an opening, and what they resemble.
    *("Guten Tag.| W", "Ich helfe Ihnen.| W", "Rozumiem Pana.| J", "That's OK.| L"),
    *("Hi, Johnny.| I", "Jag vet det.| J", "It is a new one.| M", "<b>Sure</b>.| I"),
    # Other languages.
    *("¿Cómo estás?| B", "¡Claro!| T", "«Oui.»| E", "Ça va ?| O", "Là.| O", "„Klar.“| D"),
    *("Natürlich.| I", "Да.| К", "Ναι.| Τ", "نعم.| ب", "حقا؟| ن", "ہاں۔| م", "네.| 알"),
    *("கண்டே.| க", "好的。|", "はい。|", "हाँ।|", "好的!|我", "真的？！|我", "好！|o"),
    *("(好) 好的。|", "「好的。」|我", "他说“好的。”|我", "（好的！）|我", "**好的。**|我"),
]

# Doubt at the first stop. Nothing is cut, also where a later stop would be certain.
DOUBTFUL = [
    *("At 10:30 a.m. Dr. Smith said so.", "The U.S. The whole of it.", "J. Smith wrote it."),
    *("Apples, pears, etc. They are fresh.", "Dogs Ltd. They sell.", "e.g. Cats. They purr."),
    *("No. 5 is alive. It is.", "It is 42. And so on.", "1. Do this. Then that."),
    *("Hmm. Let me see.", "Visit example.com. Then call.", "Type 24/7. Then go."),
    *("Live in A-B. Then go.", "TV. Then on.", "Hmm... Let me see. Yes."),
    *("Well… Let me see. Yes.", "Sure. . . Then go.", "Etc.\nThen go.", "sure. of course. Then."),
    *("Yahoo! is it. Then go.", '"Sure?" he said. Then go.', '"Sure. I will." Then go.'),
    *("“Sure. I will.” Then.", "(Sure. I will.) Then go.", "**Sure. I will.** Then go."),
    *('The 5" one. Then go.', "5 * 3 = x. Then go.", "<b>Sure. I will.</b> Then go."),
    *("<say Sure. I will. Then go.", "Sure.<br/> Then go.", "Sure.<3 Then go. Yes."),
    *("Sure.😊 Then go. Yes.", "Sure.Then go. Yes.", "Sure\nThen go. Yes.", "Am 3. Mai. Dann."),
    *("Band iv. Dann so.", "Ludwig II. Dann.", "z. B. Hunde. Und so.", "Im Abschn. Zwei. So."),
    *("Das ist z.B. Hunde. So.", "„Ja. So.“ Dann.", "Is it U.S.-based? Yes."),
    *("<say </b>Sure. Then go.", "<b><i>x</i> Sure. I will.</b> Then.", "Take the A15. Then go."),
    *('("Sure. I will." Yes.) Then go.', "Un av. Foch. Oui."),
    *("ул. Ленина. Да.", "डॉ. शर्मा। हाँ।", "कल. शर्मा। हाँ।"),
    *("‘Sure. I will.’ Then go.", "'Sure. I will.' Then go.", "‚Klar. Gut.‘ Dann."),
    *("'I do. You do.' Then go.", "Hi, Maria. I do.", "In Wash. Dover is. Yes.", "Hi, Zoë. 😊 I."),
    *("‘I don’t. I will.’ Then go.", "Hi,<b>Sam</b>. I do. Yes."),
    *("I saw a Martin Luther King, Jr. I did.", "I saw Ludwig Wittgenstein, Ph.D. I did."),
    *("I talked to Ludwig van Beethoven, M.D. I did.", '<a b="1. X"/> So. Yes.'),
    "<break/>Brig. Smith is in. Yes.",
    *("Sure\nthen go. Yes.", "Here are the options:\nOne is this. Yes.", "好的.我来。然后。"),
    *("د. أحمد. نعم.", "ڈ۔ احمد۔ ہاں۔ ہاں", "「好的。我来。」然后。", "「好的！我来。」然后。"),
]

# Openings that end with a short form, and behind the bar the name that may belong to it.
SHORT_FORMS = [
    *("We met Brig.| G", "Det.| J", "Ask the Atty.| G", "Mass.| G", "I met Insp.| L", "Penn.| S"),
    *("In the Calif.| S", "It was Lt.| J", "The Ofc.| M", "To Dpto.| V", "Il Sdri.| M"),
    *("En los EE.| U", "La Lic.| A", "El Arq.| A", "El Gral.| A", "El Cnel.| A", "La Pza.| M"),
    *("Falar com o Eng.| J", "A Exma.| S", "Il Geom.| R", "Il Rag.| F", "Gli Arch.| R", "Tte.| A"),
    *("Doç.| D", "Uzm.| D", "Ny.| S", "Ir.| S", "Jend.| S", "Yth.| B", "Dna.| P", "Esim.| T"),
    *("To prof. dr hab.| J", "Na nám.| M", "Na os.| S", "Ul. im.| J", "Özv.| K", "Ifj.| K"),
    *("На бул.| Л", "На наб.| Л", "Парк ім.| Ш", "Η Κα.| Π", "Στη λεωφ.| Σ", "Ctra.| M"),
]

# A first clause, and behind the bar as much of what follows as it takes to be certain.
CLAUSES = [
    *("Your order from Tuesday has shipped,| a", "It was sent on Tuesday morning;|\nT"),
    *("It was sent on Tuesday morning,| So", "It was sent on Tuesday morning,| Jra"),
    *("It was sent on Tuesday morning,| PhDs", "It was sent on the same day to me,| I"),
    *("I saw Ludwig van Beethoven, Sr,| t", "The letters of the code are A, B, as I said,| a"),
    *("This is what I found in your account:| T", "Dr. Smith is here again on Tuesday,| a"),
    *("That is what they told me yesterday—|s", "That is what they told me then ——| "),
    *("That is what they told me yesterday –| s", "Well, your order from Tuesday,| a"),
    *('He said "yes" to me on Tuesday morning,| a', "<b>It has shipped</b> on Tuesday,| a"),
    *("It was shipped by the 3rd of March,| 2", "It was shipped on March 3,| a"),
    *("您的订单已经发货了，|明", "ご注文の品物は発送、|明", "您的订单已经发货了：|明"),
    *("تم شحن طلبك يوم الثلاثاء الماضي،| و", "आपका ऑर्डर मंगलवार को भेज दिया गया है,| औ"),
]

# A first sentence in which no pause ends a clause.
WITHOUT_CLAUSES = [
    *("Sure, I will!| T", "Well, yes, of course; so it is!| T", "好的，我来！|我"),
    *("The numbers that I know are 1,000 and 3, 5 and 7!| T", "Hi: it's — well, me!| T"),
    *("We are open here every day from 10:30 on!| T", "It takes what is in main:foo here!| T"),
    *("It is open every day of the week 9 – 5 now!| T", "从那时起每天早上都是１０：３０吧！|我"),
    *("It is what they told me here– then on Friday!| T", "Hi," + " " * 24 + "I will, today!| T"),
    *("I talked to Ludwig Wittgenstein, PhD!| T", "I talked to Ludwig Wittgenstein, Esq!| T"),
    *("The numbers of my house are A , B !| T", "The letters of it are A, B, C!| T"),
    "‘It is what they told me, and then he left!’| T",
    *("They are open here from Friday–Saturday!| T", "It was long ago, in March 3—4 or so!| T"),
    *('He said to me then "yes, I will be there"!| T', "They are all here (one, two, three)!| T"),
    '<x y="a long attribute, to be sure, it is"/> Hi, you!| T',
]


async def assert_released_when_certain(first: First, case: str) -> None:
    """Not a character sooner, not one later, and with nothing of what follows."""
    (piece, after), tokenizer = case.split("|"), first_words(first, UncutTokenizer())
    text = piece + after
    sooner = [await released(tokenizer, text[:end]) for end in range(len(text))]
    assert sooner == [[]] * len(text)
    assert await released(tokenizer, text) == [piece]
    assert (await released(tokenizer, [text + "x and much more of it"]))[0] == piece


@pytest.mark.parametrize("case", SENTENCES)
@pytest.mark.parametrize("first", ["sentence", "clause"])
async def test_a_first_sentence_is_released_once_it_is_certain_that_it_ended(
    first: First, case: str
) -> None:
    await assert_released_when_certain(first, case)


@pytest.mark.parametrize("text", DOUBTFUL)
@pytest.mark.parametrize("first", ["sentence", "clause"])
async def test_in_doubt_nothing_is_cut(first: First, text: str) -> None:
    assert await spoken(first_words(first, UncutTokenizer()), text) == [text]


@pytest.mark.parametrize("case", SHORT_FORMS)
async def test_what_may_be_cut_short_does_not_end_the_first_piece(case: str) -> None:
    opening, name = case.split("|")
    short_form = opening.split()[-1]
    for start in (opening, short_form):
        text = f"{start}{name}oes on. And so on."
        assert await spoken(first_words(tokenizer=UncutTokenizer()), text) == [text]


@pytest.mark.parametrize("title", sorted(TITLES))
async def test_a_title_goes_on_to_the_end_of_its_sentence(title: str) -> None:
    await assert_released_when_certain("sentence", f"{title.capitalize()}. Johnson is here.| T")


@pytest.mark.parametrize("text", DOUBTFUL)
async def test_in_doubt_nothing_is_held_back_from_the_tokenizer_wrapped(text: str) -> None:
    """It has all that is written so far, before the reply ends or is flushed."""
    assert "".join(await released(first_words(tokenizer=NotedTokenizer()), text)) == text


@pytest.mark.parametrize("case", CLAUSES)
async def test_a_long_first_clause_is_released_once_it_is_certain_that_it_ended(case: str) -> None:
    await assert_released_when_certain("clause", case)


@pytest.mark.parametrize("case", CLAUSES)
async def test_a_clause_is_not_cut_unless_it_was_asked_for(case: str) -> None:
    text = case.replace("|", "") + "nd so on"
    assert await spoken(first_words("sentence", UncutTokenizer()), text) == [text]


@pytest.mark.parametrize("case", WITHOUT_CLAUSES)
async def test_where_a_clause_is_short_or_a_pause_stands_within_it_the_sentence_is_awaited(
    case: str,
) -> None:
    await assert_released_when_certain("clause", case)


@pytest.mark.parametrize(
    ("clause", "is_released"),
    [
        ("a" * 24, True),
        ("a" * 23, False),
        ("a bb" * 6, True),
        ("a  \tbb" * 6, True),
        ("a  \tbb" * 5 + "aaa", False),
        (" " * 9 + "a" * 23 + "<b/> ", False),
        ("-" * 24 + "a", False),
        ("<a b='" + "c" * 24 + "'/>d", False),
        ("我" * 8, True),
        ("我" * 7, False),
        ("네" * 8, True),
        ("カ" * 8, True),
    ],
)
async def test_a_clause_is_as_long_as_what_is_heard_of_it(clause: str, is_released: bool) -> None:
    heard = await released(first_words("clause"), clause + ", b")
    assert heard == ([clause + ","] if is_released else [])
