"""Public names, and methods with their arguments, that the documentation repeats from the code."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any, get_args

import pytest

import livekit_plugins_speko as package
from livekit_plugins_speko.api.realtime_events import RealtimeEvent
from livekit_plugins_speko.testing import CallLine, LocalGateway
from tests.repo.pages import DOCS, GUIDE, rows, section, text

OPTIONS = DOCS / "options.md"

UNDOCUMENTED = {"aclose", "prewarm", "realtime.aclose", "realtime.create"}
"""Methods of the client that its owner or an adapter calls."""


def documented(heading: str) -> dict[str, str]:
    """The methods in a section's table, each with its arguments as they are written."""
    row = re.compile(r"^\| `(?:await |[A-Z]\w+\.)?([\w.]+)\((.*?)\)` \|", re.MULTILINE)
    return dict(row.findall(section(OPTIONS, heading)))


def methods(described: Any) -> dict[str, Any]:
    """The public methods of a class or an object, by name."""
    members = inspect.getmembers(described, inspect.isroutine)
    return {name: member for name, member in members if not name.startswith("_")}


def arguments(method: Any) -> str:
    """What a method takes, as a page writes it."""
    return ", ".join(
        name if parameter.default is parameter.empty else f"{name}={parameter.default!r}"
        for name, parameter in inspect.signature(method).parameters.items()
        if name != "self"
    )


@pytest.mark.parametrize("described", [package.SessionSettings, package.SpekoDataChannel])
def test_every_method_is_documented_with_its_arguments(described: Any) -> None:
    written = documented(f"## `{described.__name__}`")
    assert written == {name: arguments(method) for name, method in methods(described).items()}


@pytest.mark.parametrize("described", [LocalGateway, CallLine])
def test_every_public_name_of_the_testing_tools_is_on_their_page(described: type) -> None:
    page = text(DOCS / "testing.md")
    names = [name for name in dir(described) if not name.startswith("_")]
    assert [name for name in names if not re.search(rf"\b{name}\b", page)] == []


def test_every_method_of_the_client_is_documented() -> None:
    client = package.Speko(api_key="a-key")
    parts = {"": client, "agents.": client.agents, "agents.tools.": client.agents.tools}
    parts |= {f"{name}.": getattr(client, name) for name in ("sessions", "voices", "realtime")}
    known = {f"{path}{name}" for path, part in parts.items() for name in methods(part)}
    assert set(documented("## The client alone")) == known - UNDOCUMENTED


def test_every_event_of_a_voice_model_is_documented_with_its_fields() -> None:
    table = rows(section(DOCS / "realtime.md", "## The client alone"))[1:]
    written = {name.strip("`"): set(re.findall(r"`(\w+)`", content)) for name, content in table}
    for event in get_args(RealtimeEvent):
        fields: dict[str, Any] = {each.name: each.default for each in dataclasses.fields(event)}
        content = written.pop(fields.pop("type"))
        assert set(fields) <= content
    assert written == {}


@pytest.mark.parametrize("name", package.__all__)
def test_every_public_name_is_on_a_page(name: str) -> None:
    assert any(re.search(rf"\b{name}\b", text(page)) for page in GUIDE)
