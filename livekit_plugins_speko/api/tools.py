"""Tools that come in: rows of registered tools, and mappings of the user's. No I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from ..log import logger
from .types import ChatTool

T = TypeVar("T")

_OPTIONAL: dict[str, type] = {
    "description": str,
    "executionMode": str,
    "source": Mapping,
    "preToolSpeech": str,
}
_KEYS = {"name", "parameters", *_OPTIONAL}


def parse_chat_tool(tool: object) -> ChatTool:
    """Parse a tool in the spelling of ``POST /v1/complete``.

    Raises:
        ValueError: A field that is missing, has another type, or doesn't exist; or one that is no
            JSON, which would spoil every request.
    """
    if not isinstance(tool, Mapping):
        raise ValueError(
            "SpekoAdapter: a tool must be a ChatTool or a mapping with name, description and "
            f"parameters, got {type(tool).__name__}."
        )
    if unknown := sorted(str(key) for key in set(tool) - _KEYS):
        raise ValueError(
            f'SpekoAdapter: unknown tool key "{unknown[0]}". Expected: {", ".join(sorted(_KEYS))}.'
        )
    name, parameters = tool.get("name"), tool.get("parameters", {})
    if not isinstance(name, str) or not name or not isinstance(parameters, Mapping):
        raise ValueError(
            "SpekoAdapter: a tool must have a name, and parameters that are a JSON Schema object, "
            f"got the name {name!r} and parameters of {type(parameters).__name__}."
        )
    for key, kind in _OPTIONAL.items():
        if tool.get(key) is not None and not isinstance(tool[key], kind):
            raise ValueError(
                f'SpekoAdapter: "{key}" of the tool "{name}" has the wrong type: '
                f"{type(tool[key]).__name__}."
            )
    try:
        json.dumps([parameters, tool.get("source")], allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f'SpekoAdapter: the tool "{name}" is no JSON: {error}.') from None
    return ChatTool(
        name=name,
        description=tool.get("description") or "",
        parameters=parameters,
        execution_mode=tool.get("executionMode"),
        source=tool.get("source"),
        pre_tool_speech=tool.get("preToolSpeech"),
    )


def parse_tool(row: object) -> ChatTool:
    """Parse one row of an agent's registered tools into the tool of a completion.

    Raises:
        ValueError: It has no parameters or no kind of source, or as `parse_chat_tool`.
    """
    if not isinstance(row, Mapping):
        raise ValueError(f"expected an object, got {type(row).__name__}")
    if not isinstance(source := row.get("source"), Mapping) or not source.get("kind"):
        raise ValueError(f"the source of {row.get('name')!r} has no kind")
    tool = {key: row.get(key) for key in ("name", "parameters", "source")}
    # An odd text costs a call no tool.
    texts = {key: row[key] for key in ("description", "preToolSpeech") if _is_text(row.get(key))}
    return parse_chat_tool({**tool, **texts, "executionMode": source["kind"]})


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def read_tools(rows: Iterable[T], parse: Callable[[T], ChatTool], agent_id: str) -> list[ChatTool]:
    """Parse an agent's tools. One that can't be parsed is left out, with a warning in the log."""
    tools = []
    for row in rows:
        try:
            tools.append(parse(row))
        except ValueError as error:
            logger.warning(
                "skipping a registered tool that cannot be parsed",
                extra={"agent_id": agent_id, "reason": str(error)},
            )
    return tools
