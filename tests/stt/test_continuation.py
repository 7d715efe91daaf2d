"""What is new in a text whose beginning was sent before, perhaps in other words."""

from __future__ import annotations

import pytest

from livekit_plugins_speko.stt.continuation import continuation


@pytest.mark.parametrize(
    ("sent", "whole", "rest"),
    [
        ("One two", "One, two three.", "three."),
        ("One two", "One, two.", ""),
        ("I have two", "I have 2 cats.", "cats."),
        ("one two three", "123 and four", "and four"),
        ("call me at fifty five", "Call me at 55 tomorrow", "tomorrow"),
        ("gonna go", "Going to go home", "home"),
        ("I want a", "I want an apple", "apple"),
        ("ice cream", "Icecream, please.", "please."),
        ("Thank you", "A story.", ""),
        ("Hm", "", ""),
        ("你好", "你好，世界。", "世界。"),
        ("您好", "你好世界", "世界"),
        ("สวัสดี", "สวัสดีครับ", "ครับ"),
        ("您好，吧", "你好，吧世界", "世界"),
    ],
)
def test_corrected_beginning_costs_no_later_word(sent: str, whole: str, rest: str) -> None:
    assert continuation(sent, whole) == rest
