"""What is taken out of the texts of the service's faults."""

from __future__ import annotations

from typing import Any

import pytest

from livekit_plugins_speko._redaction import Redaction

KEY = "sk-secret"
BODY = {
    "text": " my card is 4111 ",
    "systemPrompt": "be kind to Ada",
    "instructions": "whisper it",
    "intent": {"language": "en"},
    "messages": [
        {"role": "user", "content": "I am Ada Lovelace"},
        {"role": "assistant", "content": "", "toolCalls": [{"id": "1", "args": '{"pin":1234}'}]},
        {"role": "tool", "content": "balance 12.50", "toolCallId": "1"},
    ],
}


@pytest.mark.parametrize(
    "said",
    [
        "my card is 4111",
        "be kind to Ada",
        "whisper it",
        "I am Ada Lovelace",
        '{"pin":1234}',
        "balance 12.50",
        KEY,
    ],
)
def test_what_was_sent_does_not_come_back(said: str) -> None:
    shown = Redaction(KEY, BODY).text(f"refused: {said}, twice: {said}")
    assert shown == "refused: [redacted], twice: [redacted]"


def test_a_text_that_holds_another_goes_as_a_whole() -> None:
    body = {"messages": [{"content": "Lovelace"}, {"content": "I am Ada Lovelace"}]}
    assert Redaction(KEY, body).text("no I am Ada Lovelace") == "no [redacted]"


def test_words_that_say_nothing_are_left() -> None:
    assert Redaction(KEY, {"text": "in"}).text("in the middle") == "in the middle"


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"text": None},
        {"messages": None},
        {"messages": [{"content": ["a list"], "toolCalls": "none"}]},
        {"messages": [{"toolCalls": [None, {"args": 3}]}]},
    ],
)
def test_a_body_of_another_form_hides_the_key_alone(body: Any) -> None:
    assert Redaction(KEY, body).text(f"bad key {KEY}") == "bad key [redacted]"


def test_only_the_texts_of_an_object_are_changed() -> None:
    payload = {"error": KEY, "code": "X", "status": 3, "more": [KEY]}
    shown = Redaction(KEY).payload(payload)
    assert shown == {"error": "[redacted]", "code": "X", "status": 3, "more": [KEY]}
    assert payload["error"] == KEY
