"""Tools parsed from rows and mappings: a typed tool, or an error that names the field."""

from __future__ import annotations

import math
from typing import Any

import pytest

from livekit_plugins_speko import ChatTool
from livekit_plugins_speko.api.tools import parse_chat_tool, parse_tool

SOURCE = {"kind": "builtin", "name": "search"}
ROW: dict[str, Any] = {
    "id": "tool-1",
    "agentId": "agent-1",
    "name": "lookup",
    "description": "Looks it up.",
    "parameters": {"type": "object"},
    "source": SOURCE,
    "preToolSpeech": "auto",
    "createdAt": "2025-01-01T00:00:00Z",
    "updatedAt": "2025-01-01T00:00:00Z",
}
WIRE_TOOL: dict[str, Any] = {
    "name": "lookup",
    "description": "Looks it up.",
    "parameters": {"type": "object"},
    "executionMode": "builtin",
    "source": SOURCE,
    "preToolSpeech": "auto",
}
TOOL = ChatTool(
    name="lookup",
    description="Looks it up.",
    parameters={"type": "object"},
    execution_mode="builtin",
    source=SOURCE,
    pre_tool_speech="auto",
)


def test_row_and_mapping_become_the_same_tool() -> None:
    assert parse_tool(ROW) == parse_chat_tool(WIRE_TOOL) == TOOL


@pytest.mark.parametrize("optional", [{}, {"description": None, "preToolSpeech": 7}])
def test_optional_fields_of_a_row_may_be_missing(optional: dict[str, Any]) -> None:
    row = {"name": "a", "parameters": {}, "source": {"kind": "inline"}, **optional}
    expected = ChatTool(name="a", execution_mode="inline", source={"kind": "inline"})
    assert parse_tool(row) == expected


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("lookup", "got str"),
        ({**ROW, "name": ""}, "must have a name"),
        ({**ROW, "name": 3}, "must have a name"),
        ({**ROW, "parameters": None}, "JSON Schema object, got the name 'lookup'"),
        ({**ROW, "parameters": []}, "JSON Schema object, got the name 'lookup'"),
        ({**ROW, "source": None}, "the source of 'lookup' has no kind"),
        ({**ROW, "source": {}}, "the source of 'lookup' has no kind"),
        ({**ROW, "source": {"kind": 1}}, '"executionMode" of the tool "lookup"'),
    ],
)
def test_invalid_row_is_refused_by_name(row: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_tool(row)


def test_tool_needs_only_a_name() -> None:
    assert parse_chat_tool({"name": "a"}) == ChatTool(name="a")


@pytest.mark.parametrize(
    ("tool", "named"),
    [
        ("lookup", "got str"),
        ({"description": "Nameless."}, "must have a name"),
        ({"name": ""}, "must have a name"),
        ({"name": "a", "parameters": "none"}, "JSON Schema object"),
        ({"name": "a", "strict": True}, 'unknown tool key "strict"'),
        ({"name": "a", 5: True}, 'unknown tool key "5"'),
        ({"name": "a", "source": "webhook"}, '"source" of the tool "a" has the wrong type: str'),
        ({"name": "a", "description": 5}, '"description" of the tool "a"'),
        ({"name": "a", "executionMode": 5}, '"executionMode" of the tool "a"'),
        ({"name": "a", "preToolSpeech": True}, '"preToolSpeech" of the tool "a"'),
        ({"name": "a", "parameters": {"maximum": math.inf}}, 'the tool "a" is no JSON'),
        ({"name": "a", "parameters": {"enum": {1, 2}}}, 'the tool "a" is no JSON'),
        ({"name": "a", "source": {"timeoutMs": math.nan}}, 'the tool "a" is no JSON'),
    ],
)
def test_invalid_mapping_is_refused_by_name(tool: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_chat_tool(tool)
