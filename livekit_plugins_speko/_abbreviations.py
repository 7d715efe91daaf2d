"""Words whose full stop may not end a sentence."""

from __future__ import annotations

import re
import unicodedata

# A name always follows these.
TITLES = frozenset(
    "mr mrs ms mx dr drs prof hr frl mme mlle mgr sr sra srta dra dona sig dott ing avv dhr mevr "
    "proff".split()
)

# These may end a sentence or not. A word too many here costs a few milliseconds, one too few cuts
# a sentence in two. Those without a vowel ("Ltd", "bzw", "blvd") are told by that.
ABBREVIATIONS = frozenset(
    # English
    "abs al approx apr apt assoc aug aust auth ave capt co col comdr cont corp dec dept dir "
    "div ed eds eg esp est et etc ext feb fig figs fri gen gov hon ie inc incl jan jul jun "
    "lat lieut maj mar max min misc mon nov oct op orig para pres prev pseud rep res rev "
    "sat sec sen sep sept sun supt temp thu thur thurs tue tues univ viz vol vols wed yr "
    # German
    "abb abschn allg anm art aufl ausg ca dipl ehem einschl entspr evtl exkl geb gegr gem "
    "gesch gest hrsg inkl int jan jh max mio mrd näml od orig rd sog std tel urspr usf usw "
    "vgl vorm "
    # French, Italian, Spanish, Portuguese
    "adj adm admón aprox av avda bd boul bvd cap cía depto doc ecc ej env esq ex exa exc exmo "
    "fig ilmo ltda núm obs pag para prov pág págs réf sta ste sto tél ud uds urb vd vds éd "
    # Dutch, Polish, Czech, Turkish, Swedish, Danish
    "afb afd alm av bijv bl blz ca cad dwz enz evt inż itd itp jl kap mah nl np nr osv oz pl "
    "resp sok tzw ul ung vb zgn ör örn "
    # Russian, Ukrainian
    "акад вул гл гос доц изд им ин инж корп обл оф пер пос пр просп проф руб см тел тов тыс "
    "ул".split()
)

_VOWELS = frozenset("aeiouyæøœıаеиоуыэюяіїєёαεηιουω")
_LAST_PART = re.compile(r"[-–—/]")
# Devanagari to Odia, whose sentences end with a danda.
_DANDA_SCRIPTS = re.compile("[\u0900-\u0b7f]")
_ROMAN = re.compile(r"[IVXLCDM]+|[ivx]+")


def is_title(word: str) -> bool:
    """Whether a name must follow the word: "Dr" of "Dr. Smith"."""
    return word.lower() in TITLES


def may_be_abbreviated(word: str) -> bool:
    """Whether the full stop behind the word may be its own and not the sentence's.

    True of known abbreviations, and of all that looks like one: single letters ("J. Smith"), words
    without a vowel ("Ltd."), words with a full stop inside ("U.S.", "example.com"), ordinals
    ("3. Mai", "Ludwig II."), and words in scripts that end a sentence with a sign of their own.

    Args:
        word: What stands before the full stop, back to the last space, without quotes around it.
    """
    if "." in word:
        return True
    word = _LAST_PART.split(word)[-1]
    if len(word) < 2:
        # One Hangul syllable is a word: "네." is "Yes."
        return not "가" <= word <= "힣"
    if not unicodedata.category(word[-1]).startswith(("L", "M")) or _DANDA_SCRIPTS.match(word[-1]):
        return True
    if _ROMAN.fullmatch(word) is not None:
        return True
    return word.lower() in ABBREVIATIONS or _lacks_vowels(word)


def _lacks_vowels(word: str) -> bool:
    """Whether no vowel is in a word of an alphabet that has upper and lower case."""
    letters = unicodedata.normalize("NFD", word.lower())
    return word.lower() != word.upper() and _VOWELS.isdisjoint(letters)
