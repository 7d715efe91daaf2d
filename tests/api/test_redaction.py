"""What is taken out of the texts of the service's faults."""

from __future__ import annotations

from typing import Any

import pytest

from livekit_plugins_speko.api.redaction import MAX_MESSAGE_CHARS, Redaction

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


@pytest.mark.parametrize(
    ("said", "message"), [("in", "in the middle"), ("time", "timeout, a timer")]
)
def test_words_that_say_nothing_are_left(said: str, message: str) -> None:
    assert Redaction(KEY, {"text": said}).text(message) == message


@pytest.mark.parametrize("said", ["time", "4111", "我的卡号", "¿qué?"])
def test_a_whole_word_goes_wherever_it_stands(said: str) -> None:
    redaction = Redaction(KEY, {"text": said})
    assert redaction.text(f"no {said}!") == "no [redacted]!"


def test_a_script_without_spaces_has_no_borders_to_ask_for() -> None:
    shown = Redaction(KEY, {"text": "我的卡号是四一一一"}).text(
        "不允许我的卡号是四一一一这样的内容"
    )
    assert shown == "不允许[redacted]这样的内容"


@pytest.mark.parametrize(
    "message", ["refused: I am booking a table", "refused: booking a table", 'bad {"card": "4111"}']
)
def test_what_the_answer_itself_has_said_does_not_come_back(message: str) -> None:
    redaction = Redaction(KEY)
    for event in ({"text": "I am "}, {"text": "booking a table"}):
        redaction.hear(event)
    redaction.hear({"id": "1", "args": '{"card": "4111"}', "status": 3})
    assert redaction.text(message).rpartition(" ")[2] == "[redacted]"


def test_a_message_is_shown_as_far_as_it_says_something() -> None:
    assert Redaction(KEY).text("x" * 5_000) == "x" * MAX_MESSAGE_CHARS
    assert KEY[:-1] not in Redaction(KEY).text("x" * (MAX_MESSAGE_CHARS - 3) + KEY)


@pytest.mark.parametrize("length", [300, 3_000, 15_000, 30_000])
def test_an_echo_that_is_cut_off_is_not_shown(length: int) -> None:
    said = "word " * (length // 5)
    shown = Redaction(KEY, {"text": said}).text("no " + said * (200_000 // length))
    assert "word" not in shown


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


def test_of_an_error_s_object_only_what_is_read_is_kept() -> None:
    payload = {"error": KEY, "code": 3, "more": [KEY]}
    assert Redaction(KEY).payload(payload) == {"error": "[redacted]"}
    assert payload["error"] == KEY
