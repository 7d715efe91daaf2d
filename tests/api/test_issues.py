"""A refusal's list of issues, in the text of its error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from livekit_plugins_speko import Speko, SpekoApiError
from livekit_plugins_speko.api.issues import MOST, describe_issues
from livekit_plugins_speko.testing import LocalGateway, Refusal

PROMPT = "The secret of the hotel."


def refusal(*issues: Any) -> Refusal:
    body = {"error": "invalid request", "code": "VALIDATION_ERROR", "issues": list(issues)}
    return Refusal(400, body=json.dumps(body), headers={"Content-Type": "application/json"})


async def refused(gateway: LocalGateway, speko: Speko, *issues: Any) -> SpekoApiError:
    gateway.sessions.script(refusal(*issues))
    with pytest.raises(SpekoApiError) as caught:
        await speko.sessions.create(intent={"language": "en"}, system_prompt=PROMPT)
    return caught.value


async def test_error_names_what_is_wrong(gateway: LocalGateway, speko: Speko) -> None:
    error = await refused(
        gateway,
        speko,
        {"path": ["llm", "maxTokens"], "message": "too big"},
        {"path": "ttlSeconds", "message": "not a number"},
    )
    assert str(error) == "invalid request (llm.maxTokens: too big; ttlSeconds: not a number)"
    assert (error.status, error.code) == (400, "VALIDATION_ERROR")


async def test_echo_in_an_issue_is_removed(gateway: LocalGateway, speko: Speko) -> None:
    issue = {"path": "systemPrompt", "message": f"found {PROMPT} and the key {gateway.api_key}"}
    error = await refused(gateway, speko, issue)
    assert "systemPrompt: found [redacted] and the key [redacted]" in str(error)


async def test_error_without_issues_is_as_before(gateway: LocalGateway, speko: Speko) -> None:
    assert str(await refused(gateway, speko)) == "invalid request"


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, ""),
        ("text", ""),
        ({"path": "a", "message": "b"}, ""),
        ([], ""),
        ([7, None, {"path": "a"}, {"path": "a", "message": " "}], ""),
        ([{"message": "too big"}], "too big"),
        ([{"path": 7, "message": "too big"}], "too big"),
        ([{"path": ["turns", 0, "text", None], "message": "too big"}], "turns.0.text: too big"),
        ([{"path": "a", "message": "b"}] * (MOST + 2), "; ".join(["a: b"] * MOST) + "; and 2 more"),
    ],
)
def test_issues_of_any_form_are_described(found: Any, text: str) -> None:
    assert describe_issues(found) == text
