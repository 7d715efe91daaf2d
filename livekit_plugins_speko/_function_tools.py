"""LiveKit's tools as Speko's inline tools."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from livekit.agents import llm

from .api.types import ChatTool


def function_tools_to_speko(tools: Sequence[llm.Tool | llm.Toolset] | None) -> list[ChatTool]:
    """Convert LiveKit's tools to inline tools.

    Args:
        tools: Function tools, raw function tools and sets of them. Tools of a provider have no
            function to call, and are left out.

    Returns:
        One tool for each function, its parameters as plain JSON Schema (not strict).
    """
    schemas = llm.ToolContext(tools or []).parse_function_tools("openai", strict=False)
    functions = [schema["function"] for schema in schemas]
    return [
        ChatTool(
            name=function["name"],
            description=function.get("description") or "",
            parameters=_finite(function.get("parameters")) or {"type": "object", "properties": {}},
        )
        for function in functions
    ]


def _finite(schema: Any) -> Any:
    """Return a JSON Schema without the numbers that JSON has no word for.

    A default that holds one is left out as a whole: a part of it would be another default.
    """
    if isinstance(schema, Mapping):
        return {
            key: _finite(value)
            for key, value in schema.items()
            if not _is_endless(value) and not (key == "default" and _holds_endless(value))
        }
    if isinstance(schema, list | tuple):
        return [_finite(value) for value in schema if not _is_endless(value)]
    return schema


def _holds_endless(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_endless, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_endless, value))
    return _is_endless(value)


def _is_endless(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
