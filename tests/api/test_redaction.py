"""Removing the key and complete echoes of a call, and nothing else, from the service's messages."""

from __future__ import annotations

import json

import pytest

from livekit_plugins_speko.api.limits import MAX_ERROR_BYTES
from livekit_plugins_speko.api.redaction import MAX_MESSAGE_CHARS, Redaction

KEY = "sk-secret"


def redaction(*said: str) -> Redaction:
    return Redaction(KEY, said)


@pytest.mark.parametrize(
    "said", [KEY, " I am Ada Lovelace ", "¿qué pasa?", "我的卡号", '{"pin": 12}']
)
def test_every_echo_of_a_complete_text_is_removed(said: str) -> None:
    message = f"refused:{said.strip()}, twice: {said.strip()}!"
    assert redaction(said).message(message) == "refused:[redacted], twice: [redacted]!"


@pytest.mark.parametrize("ascii_only", [True, False])
def test_echo_inside_json_is_removed(ascii_only: bool) -> None:
    said = 'Be "kind",\ngrüß dich\\dort'
    quoted = json.dumps({"content": said}, ensure_ascii=ascii_only)
    assert redaction(said).message(quoted) == '{"content": "[redacted]"}'


def test_text_that_contains_another_is_removed_completely() -> None:
    assert redaction("Lovelace", "I am Ada Lovelace").message("no I am Ada Lovelace") == (
        "no [redacted]"
    )


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("time", "timeout after 3 s"),
        ("yes", "yesterday's key"),
        ("", "no model"),
        ("deepgram is down", "provider deepgram is busy"),
    ],
)
def test_message_without_a_complete_echo_is_unchanged(said: str, message: str) -> None:
    assert redaction(said).message(message) == message


@pytest.mark.parametrize("key", ["1", "pcm", "event", "test"])
def test_key_that_is_a_plain_word_changes_no_header(key: str) -> None:
    value = f"audio/pcm;rate=16000 event {key}"
    assert Redaction(key).key(value) == value


@pytest.mark.parametrize(
    "message", ["I am booking a table", '{"card": "4111 1111"}', "my card is 4111"]
)
def test_echo_of_what_was_received_is_removed(message: str) -> None:
    noted = Redaction(KEY)
    noted.note("transcript", {"text": "my card is"})
    noted.note("transcript", {"text": "my card is 4111"})
    noted.note("delta", {"text": "I am "})
    noted.note("delta", {"text": "booking a table"})
    noted.note("tool_call", {"id": "1", "args": '{"card": "4111 1111"}', "status": 3})
    assert noted.message(f"refused: {message}") == "refused: [redacted]"


def test_message_is_cut_after_its_redaction() -> None:
    assert redaction().message("x" * 5_000) == "x" * MAX_MESSAGE_CHARS
    almost = MAX_MESSAGE_CHARS - len(KEY) + 1
    assert KEY[:-1] not in redaction().message("x" * almost + KEY)


def test_only_the_length_of_an_oversized_message_is_shown() -> None:
    shown = redaction("word " * 1_000).message("word " * MAX_ERROR_BYTES)
    assert shown == f"(a message of {5 * MAX_ERROR_BYTES} characters)"


def test_only_message_and_code_of_an_error_are_kept() -> None:
    payload = {"error": f"no {KEY}", "code": KEY, "more": [KEY]}
    assert redaction().error(payload) == {"error": "no [redacted]", "code": "[redacted]"}
    assert redaction().error({"error": ["no"], "code": 3}) == {}
