"""Marks between sentences and clauses, and the words around them that must not be cut. No I/O."""

from __future__ import annotations

import re
import unicodedata

from .._text import TAG

STOPS = "。｡।॥։።፧။។៕᙮᠃᠉᱾᱿꯫"
"""Marks that only end sentences, each by itself. No abbreviation is written with them."""

WIDE_STOPS = "！？"
"""Marks that need no space after them."""

PAUSES = ",;:،؛՝፣፤፥၊᠂"
"""Marks between clauses when a space comes next. In a word they are something else ("10:30")."""

WIDE_PAUSES = "，；：、､—"
"""Marks that end a clause whatever follows."""

STOP = re.compile(rf"[.!?…؟۔．{WIDE_STOPS}]+|[{STOPS}]")
PAUSE = re.compile(rf"[{PAUSES}–{WIDE_PAUSES[:-1]}]|—+")
STOP_OR_PAUSE = re.compile(f"{STOP.pattern}|{PAUSE.pattern}")

_WIDE_CHARACTER = 3
"""Latin characters that take as long to say as a Chinese, Japanese or Korean one: a syllable."""

# Numerals that Unicode lists as plain letters: Chinese "two", and Korean from 0 to 10,000.
_MORE_NUMERALS = frozenset("两영공일이삼사오육칠팔구십백천만")

# Thai, Lao, Burmese and Khmer end no sentence with a full stop. It belongs to a short form there.
_WITHOUT_FULL_STOPS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")

# The few lower-case abbreviations that are as long as words.
_LONG_ABBREVIATIONS = frozenset(
    "approx aprox assoc ausschl depto einschl entspr gesch insbes odpow przyp rozdz sogen urspr "
    "vorauss zusätzl гражд просп".split()
)
_SHORTEST_WORD = 5
"""Letters of a lower-case word that is taken for no abbreviation."""

_SHORTEST_CASELESS = 3
"""Letters of a word without capitals that is taken for no abbreviation. Marks do not count."""

_ORDINAL = re.compile(
    r"(?:\b(?:ab|am|beim|bis|das|de[mnrs]|die|im|seit|vom|zum)|,)\s\d{1,2}$", re.IGNORECASE
)

_HANGUL = re.compile("[가-힣]{2,}")

# Shorter words that often end a sentence, and are no abbreviation in any common language.
_SHORT_WORDS = frozenset(
    "it that this them here then now you too yet well done know soon help fine good ready "
    "gut gern gerne bien".split()
)

# What opens a reply alone. No "No.", which is a number's sign too.
_OPENERS = frozenset(
    "sure/yes/yeah/yep/ok/okay/right/great/good/fine/perfect/absolutely/certainly/exactly/hi/hello"
    "/thanks/ja/nein/klar/gut/gern/natürlich/genau/perfekt/hallo/danke/guten tag/guten morgen"
    "/guten abend/vielen dank/einen moment/oui/non/d'accord/parfait/bonjour/merci/sí/si/claro"
    "/vale/bueno/perfecto/hola/gracias/certo/bene/ciao/grazie/sim/não/olá/nee/hoi/hej/nej/tak/nie"
    "/ano/da/nu/igen/nem/evet/hayır/tamam/да/нет/так/ні/хорошо/ναι/όχι/כן/نعم/네/예".split("/")
)

OPEN_TAG = re.compile(r"<(?:/?[A-Za-z][^<>]*|/)?$")
_PAIRS = ("()", "[]", "（）", "「」", "『』", "【】", "《》")
# Which of these opens differs between languages („so“, “so”, »so«), or it does both. An odd number
# of them leaves one open.
_QUOTES = tuple(map(re.compile, (r'["„“”]', "[«»]", r"\*+", "_+", "`+")))
# A single quote before a word, with none after a word that closes it. It may be an apostrophe.
_SINGLE_QUOTE = re.compile(r"(?<!\w)['‘‚](?=\w)(?!.*\S['’‘](?!\w))", re.DOTALL)


def is_wide(character: str) -> bool:
    """Return True for a Chinese, Japanese or Korean letter."""
    return character.isalpha() and unicodedata.east_asian_width(character) in "WF"


def is_numeral(character: str) -> bool:
    """Return True for a digit or a numeral of any script: "5", "٥", "五", "Ⅴ"."""
    return character.isnumeric() or character in _MORE_NUMERALS


def spoken_characters(text: str) -> int:
    """Measure the speech in a text, in Latin characters: letters, digits, spaces; no tags."""
    plain = " ".join(TAG.sub("", text).split())
    return sum(_WIDE_CHARACTER if is_wide(c) else c.isalnum() or c.isspace() for c in plain)


def parts_number(text: str, end: int) -> bool | None:
    """Return True if a cut is between two numerals, whatever else is between them.

    None where that is open: a numeral comes before, and the text ends before the next letter.
    """
    before = next((c for c in reversed(text[:end]) if c.isalnum()), "")
    if not before or not is_numeral(before):
        return False
    after = next((c for c in text[end:] if c.isalnum()), "")
    return is_numeral(after) if after else None


def is_in_tag(text: str) -> bool:
    """Return True if a text ends within a markup tag, or with what may be the beginning of one."""
    return OPEN_TAG.search(text) is not None


def is_open(text: str) -> bool:
    """Return True if a quote, a bracket, emphasis or a tag is not closed in a text."""
    if is_in_tag(text) or _SINGLE_QUOTE.search(text) is not None:
        return True
    tags = TAG.findall(text)
    closing = sum(tag.startswith("</") for tag in tags)
    if closing < sum(not tag.endswith("/>") for tag in tags) - closing:
        return True
    text = TAG.sub("", text)
    if any(len(quote.findall(text)) % 2 for quote in _QUOTES):
        return True
    return any(text.count(pair[0]) > text.count(pair[1]) for pair in _PAIRS)


def ends_sentence(text: str) -> bool:
    """Return True if a full stop and a space after a text are certain to end a sentence.

    So it is after a word of five or more lower-case letters, and after shorter ones that are no
    abbreviation. "Dr" and "Hauptstr" are capitalized, "bzw" and "திரு" are not five of them.
    """
    if " ".join(text.casefold().split()) in _OPENERS:
        return True
    word = text.split()[-1].replace("'", "").replace("’", "")
    last = word.rpartition("-")[2]
    if not word.replace("-", "").isalpha() or text[-1].isspace():
        return False
    if last in _SHORT_WORDS or _HANGUL.fullmatch(last) is not None:
        return True
    return last.islower() and len(last) >= _SHORTEST_WORD and last not in _LONG_ABBREVIATIONS


def may_shorten(text: str) -> bool:
    """Return True if a full stop after a text shortens its last word, as blingfire does not know.

    That is any in Thai, Lao, Burmese or Khmer; one after a word of one or two letters in a script
    without capitals ("د.", "డా.", "திரு."); and one of a German ordinal ("am 3. Mai").
    """
    if _WITHOUT_FULL_STOPS.search(text[-1:]) is not None or _ORDINAL.search(text) is not None:
        return True
    word = text.split()[-1]
    letters = [c for c in word if c.isalpha()]
    caseless = all(c.lower() == c.upper() for c in letters) and not is_wide(word[0])
    return 0 < len(letters) < _SHORTEST_CASELESS and caseless
