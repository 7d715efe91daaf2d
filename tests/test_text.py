"""Texts with something to speak, and others."""

from __future__ import annotations

import pytest

from livekit_plugins_speko._text import is_speakable

SPEAKABLE = [
    *("Yes", "5", "(a)", "...no", "é", "e\u0301", "हाँ", "สวัสดี", "นำ", "ខ្ញុំ", "ဟုတ်"),
    *("ሰላም", "नि", "한", "好", "ア", "نعم", "כן", "ДА", "ναι", "ա", "ა", "٥", "५", "๕"),
    *("五", "Ⅷ", "①", "½", "²", "1️⃣", "3 < 5", "<3", "<b>Yes</b>", "😊 yes", "♪ la ♪"),
    "ー",
]
UNSPEAKABLE = [
    *("", " ", "\n\t", "!", ".)", "」", "...", "…", "?!", "—", "-", "•", "***", "_"),
    *("()", '"', "“”", "。", "।", "၊", "።", "។", "؟", "፧", "😊", "👨‍👩‍👧", "👍🏽"),
    *("🇩🇪", "❤️", "♪", "♪♪ ", "€", "%", "+", "→", "™", "\u0301", "ั", "\u200b", "\u200d"),
    *("\ufeff", "\u2060", "\u3164", "\u00ad", "<break/>", '<break time="1s"/> .', "</p>"),
]


@pytest.mark.parametrize("text", SPEAKABLE)
def test_letter_or_digit_of_any_script_is_speakable(text: str) -> None:
    assert is_speakable(text)


@pytest.mark.parametrize("text", UNSPEAKABLE)
def test_marks_symbols_and_tags_are_not_speakable(text: str) -> None:
    assert not is_speakable(text)
