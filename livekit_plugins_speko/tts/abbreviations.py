"""Words whose full stop may not end a sentence."""

from __future__ import annotations

import re
import unicodedata

# A name always follows these.
TITLES = frozenset(
    "mr mrs ms mx messrs dr drs prof profa proff hr frl mme mlle mgr mudr judr mtro mtra sr sra "
    "srta dra dona sig sigg dott ing avv dhr mevr".split()
)

# These may end a sentence or not. A word too many here leaves an opening as late as it is without
# this plugin, one too few cuts a sentence in two. Those with a capital are words without it. Those
# without a vowel ("Ltd", "bzw", "blvd") are told by that.
ABBREVIATIONS = frozenset(
    # English
    "abs al approx apr apt assoc atty aug aust auth ave brig calif capt co col comdr cont corp dec "
    "dept dir div ed eds eg esp est et etc ext feb fig figs fri gen gov hon ie inc incl insp jan "
    "jul jun lat lieut maj mar max min misc mon nov oct ofc op orig para pres prev pseud rep res "
    "rev sat sec sen sep sept sun supt temp thu thur thurs tue tues univ viz vol vols wed yr "
    "Det Mass Penn "
    # German
    "abb abschn allg anm art aufl ausg ca dipl ehem einschl entspr evtl exkl geb gegr gem "
    "gesch gest hrsg inkl int jan jh max mio mrd näml od orig rd sek sog std tel urspr usf usw "
    "vgl vorm "
    # French, Italian, Spanish, Portuguese
    "adj adm admón aprox arch arq av avda bd boul bvd cap cel cía cnel ctra depto doc dpto ecc "
    "ee ej env eng esq ex exa exc exma exmo fig geom gral ilmo lic ltda núm obs pag para plza "
    "prov pza pág págs rag réf sdri sta ste sto tte tél ud uds urb vd vds éd "
    # Dutch, Polish, Czech, Hungarian, Romanian, Turkish, Swedish, Danish, Finnish
    "adr afb afd alm av bijv bl blz ca cad dna doç dwz enz esim evt hab id ifj im inż ir itd itp "
    "jl jud kap mah nl np nr nám os osv oz pl resp sok tzw ul ung uzm vb zgn ör örn özv "
    # Indonesian
    "jend kab kec sos yth Ny "
    # Russian, Ukrainian, Bulgarian, Greek
    "акад бул вул гл гос доц изд им ин инж корп наб обл оф пер пос пр просп проф руб см тел тов "
    "тыс ул ім κα λεωφ".split()
)

# These often end an opening ("Guten Tag.", "Rozumiem Pana."), and no name follows.
_ENDINGS = frozenset(
    "Ok OK Okay Abend Dank Euro Frage Gute Hilfe Idee Ihnen Recht Sie Sorge Tag Uhr Zeit "
    "Pana Pani Panu".split()
)

_LONGEST_SHORT_FORM = 5
"""Characters. Few short forms are longer, and more names are."""

_VOWELS = frozenset("aeiouyæøœıаеиоуыэюяіїєёαεηιουω")
_LAST_PART = re.compile(r"[-–—/]")
# Devanagari to Odia, whose sentences end with a danda.
_DANDA_SCRIPTS = re.compile("[\u0900-\u0b7f]")
_ROMAN = re.compile(r"[IVXLCDM]+|[ivx]+")


def is_short_form(word: str) -> bool:
    """Whether a word within a sentence looks like a rank or place cut short: "Brig", "Mass".

    No list knows them all, and "Sam" looks the same. So the opening "Hi, Sam. I" comes no sooner
    than without this plugin, and in no language is "Brig. Gen. Smith" said with a pause in it.
    """
    return word[:1].isupper() and len(word) <= _LONGEST_SHORT_FORM and word not in _ENDINGS


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
    return not ABBREVIATIONS.isdisjoint((word, word.lower())) or _lacks_vowels(word)


def _lacks_vowels(word: str) -> bool:
    """Whether no vowel is in a word of an alphabet that has upper and lower case."""
    letters = unicodedata.normalize("NFD", word.lower())
    return word.lower() != word.upper() and _VOWELS.isdisjoint(letters)
