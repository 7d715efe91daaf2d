"""One row of an agent's registered tools: a tool that can be forwarded, or a ValueError."""

from __future__ import annotations

import json

from livekit_plugins_speko import SpekoApiError
from livekit_plugins_speko.api.requests import build_tool
from livekit_plugins_speko.api.responses import parse_json
from livekit_plugins_speko.api.tools import parse_chat_tool, parse_tool

HUGE_NUMBER = {"name": "f", "parameters": {"maximum": float("inf")}, "source": {"kind": "inline"}}
"""A row with a number that is too large for a float."""


def check(data: bytes) -> None:
    """Parse JSON as a row, and as a tool of ours; what was parsed can be written again."""
    try:
        row = parse_json(data, "the row")
    except SpekoApiError:
        return
    for parse in (parse_tool, parse_chat_tool):
        try:
            tool = parse(row)
        except ValueError:
            continue
        wire = json.dumps(build_tool(tool), allow_nan=False)
        assert parse_chat_tool(json.loads(wire)) == tool
