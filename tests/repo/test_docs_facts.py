"""Options, defaults, bounds, figures and commands that the documentation repeats from the code."""

from __future__ import annotations

import dataclasses
import inspect
import re
from itertools import takewhile
from typing import Any, get_args

import pytest
from livekit.agents import APIConnectOptions, vad

import livekit_plugins_speko as package
from examples.stack.servers import (
    DEV_KEY,
    DEV_SECRET,
    GATEWAY,
    LIVEKIT_SERVER,
    SERVER_FLAGS,
    WORKER,
)
from livekit_plugins_speko.api import limits
from livekit_plugins_speko.api.limits import MAX_KEYWORDS
from livekit_plugins_speko.api.pools import KEEPALIVE_EXPIRY_S
from livekit_plugins_speko.api.redaction import MAX_MESSAGE_CHARS
from livekit_plugins_speko.audio.pcm import MAX_CHANNELS, SAMPLE_RATES_HZ
from livekit_plugins_speko.audio.wav import MAX_WAV_HEADER_BYTES
from livekit_plugins_speko.errors import RETRYABLE_ADAPTER_CODES, AdapterErrorCode
from tests.repo.pages import DOCS, README, ROOT, blocks, rows, section, text

OPTIONS = DOCS / "options.md"
BENCHMARKS = ROOT / "benchmarks" / "README.md"
KIB, MIB = 1024, 1024 * 1024

DOCUMENTED: dict[str, Any] = {
    "## `create_speko_components`": package.create_speko_components,
    "## `SpekoSTT`": package.SpekoSTT,
    "## `SpekoLLM`": package.SpekoLLM,
    "## `SpekoTTS`": package.SpekoTTS,
    "## `SpekoSTTAdapter`": package.SpekoSTTAdapter,
    "## `SpekoTTSAdapter`": package.SpekoTTSAdapter,
    "## `FirstWordsTokenizer`": package.FirstWordsTokenizer,
    "## `SpekoRealtimeModel`": package.SpekoRealtimeModel,
    "## `SessionSettings`": package.SessionSettings,
    "## `SpekoDataChannel`": package.SpekoDataChannel,
    "## `TurnReporter`": package.TurnReporter,
    "## `Speko`, the client": package.Speko,
}


DESTINATIONS = (
    *("`SpekoSTT`", "`SpekoSTTAdapter`", "`SpekoLLM`", "`SpekoTTS`", "`SpekoTTSAdapter`"),
    "the tokenizer",
)


def common() -> dict[str, Any]:
    """The options that every part needs, with a client that calls nobody."""
    return {"speko": package.Speko(api_key="a-key"), "intent": {"language": "en"}}


def documented(heading: str) -> dict[str, str]:
    """Each option of a section's table, and its default as it is written."""
    cells = rows(section(OPTIONS, heading))
    start = next(at for at, row in enumerate(cells) if row[:2] == ["option", "default"])
    table = takewhile(lambda row: row[0] not in ("mapping", "method"), cells[start + 1 :])
    return {row[0].strip("`"): row[1] for row in table}


@pytest.mark.parametrize("heading", DOCUMENTED)
def test_every_option_is_documented_with_its_default(heading: str) -> None:
    written = documented(heading)
    parameters = inspect.signature(DOCUMENTED[heading]).parameters
    assert set(written) == set(parameters)
    for option, parameter in parameters.items():
        if parameter.default is parameter.empty:
            assert written[option] == "required", option
        elif parameter.default is None:
            # What None means, in words or as the variable of the environment.
            assert written[option] not in ("", "required", "`None`"), option
        elif parameter.default == APIConnectOptions():
            assert written[option] == "LiveKit's", option
        else:
            shown = parameter.default
            literal = f'"{shown}"' if isinstance(shown, str) else repr(shown)
            assert written[option] == f"`{literal}`", option


@pytest.mark.parametrize("mapping", ["llm", "stt_options", "tts_options"])
def test_every_option_of_a_mapping_is_documented(mapping: str, voice_detector: vad.VAD) -> None:
    options: dict[str, Any] = {mapping: {"no_such_option": 1}}
    with pytest.raises(ValueError, match="Expected: ") as refused:
        package.create_speko_components(**common(), vad=voice_detector, **options)
    taken = set(str(refused.value).partition("Expected: ")[2].rstrip(".").split(", "))
    table = rows(section(OPTIONS, "## `create_speko_components`"))
    cells = [row[2] for row in table if row[0] == f"`{mapping}`" and row[1] in DESTINATIONS]
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == taken


@pytest.mark.parametrize("part", [package.SpekoSTT, package.SpekoLLM, package.SpekoTTS])
def test_every_option_that_may_change_is_documented(part: Any) -> None:
    table = rows(section(OPTIONS, "## Changing options during a call"))
    (row,) = [row for row in table if row[0] == f"`{part.__name__}`"]
    parameters = set(inspect.signature(part.update_options).parameters) - {"self"}
    assert set(re.findall(r"`(\w+)`", row[1])) == parameters


def test_documented_ranges_are_those_of_the_code() -> None:
    options = text(OPTIONS)
    assert f"| {MAX_KEYWORDS} at most |" in options
    assert f"| {SAMPLE_RATES_HZ[0]} to {SAMPLE_RATES_HZ[-1]} Hz |" in options
    latency = text(DOCS / "latency.md")
    assert KEEPALIVE_EXPIRY_S == 300 and "Idle connections are kept for five minutes" in latency


@pytest.mark.parametrize(
    ("part", "option", "within", "outside"),
    [
        (package.SpekoTTS, "speed", (0.5, 2), (0.4, 2.1)),
        (package.SpekoLLM, "temperature", (0, 2), (-0.1, 2.1)),
        (package.SpekoLLM, "max_tokens", (1,), (0,)),
        (package.SpekoLLM, "reasoning_effort", ("none", "minimal", "xhigh"), ("extreme",)),
        (package.SpekoSTT, "prompt", ("x" * 2000,), ("x" * 2001,)),
    ],
)
def test_documented_ranges_are_checked(
    part: Any, option: str, within: tuple[Any, ...], outside: tuple[Any, ...]
) -> None:
    for value in within:
        part(**common(), **{option: value})
    for value in outside:
        with pytest.raises(ValueError, match=option):
            part(**common(), **{option: value})


def test_livekit_s_retries_are_those_documented() -> None:
    defaults = APIConnectOptions()
    assert (defaults.timeout, defaults.max_retry) == (10.0, 3)
    assert [defaults._interval_for_retry(attempt) for attempt in range(3)] == [0.1, 2.0, 2.0]
    prose = " ".join(text(DOCS / "errors.md").split())
    assert "defaults are 10 s and three retries, after 0.1 s, 2 s and 2 s." in prose


def test_every_code_of_an_adapter_error_is_documented() -> None:
    _, *table = rows(section(DOCS / "errors.md", "## Codes of `SpekoAdapterError`"))
    assert [row[0].strip("`") for row in table] == list(get_args(AdapterErrorCode))
    retried = {row[0].strip("`") for row in table if row[2] == "yes"}
    assert retried == RETRYABLE_ADAPTER_CODES


def test_every_field_of_a_route_event_is_documented() -> None:
    _, *table = rows(section(DOCS / "latency.md", "## Measuring"))
    written = {field for row in table for field in re.findall(r"`(\w+)`", row[0])}
    fields = {field.name for field in dataclasses.fields(package.RouteEvent)}
    assert written == fields - {"type"}


def test_bounds_are_those_of_the_code() -> None:
    bounds = section(DOCS / "security.md", "## How large a response may be")
    assert {limits.MAX_EVENT_BYTES, limits.MAX_JSON_BYTES} == {4 * MIB} and "4 MiB" in bounds
    assert limits.MAX_TOOLS == 1_000 and "| 1000 |" in bounds
    assert {limits.MAX_ERROR_BYTES, MAX_WAV_HEADER_BYTES} == {64 * KIB}
    assert bounds.count("| 64 KiB |") == 2
    assert f"| {MAX_MESSAGE_CHARS} characters |" in bounds
    assert f"| {MAX_CHANNELS} |" in bounds
    assert f"| {limits.MAX_WAITING_CHUNKS}, of 64 KiB at most |" in bounds


def test_figures_of_the_readme_are_those_of_the_benchmarks() -> None:
    measured = text(BENCHMARKS)
    figures = re.findall(r"\*\*(\d\.\d\d)\*\*", section(README, "## What it adds"))
    assert len(figures) >= 5
    for figure in figures:
        assert f"| {figure} |" in measured, figure


def test_names_for_users_of_typescript_exist() -> None:
    here = [row[1] for row in rows(text(DOCS / "from-typescript.md"))]
    names = re.findall(r"`([A-Za-z_]+)(?:\(\.*\))?`", " ".join(here))
    known = {
        *dir(package),
        *inspect.signature(package.create_speko_components).parameters,
        *(field.name for field in dataclasses.fields(package.Intent)),
    }
    assert len(names) > 10
    assert set(names) - known == set()


def test_commands_for_an_own_server_are_those_that_the_tests_run() -> None:
    commands = "\n".join(blocks(DOCS / "deploying.md", "bash"))
    server = f".tools/{LIVEKIT_SERVER.name} {' '.join(SERVER_FLAGS)}"
    for command in (server, f"python {' '.join(GATEWAY)}", f"python {' '.join(WORKER)}"):
        assert command in commands
    assert f"LIVEKIT_API_KEY={DEV_KEY} LIVEKIT_API_SECRET={DEV_SECRET}" in commands
    settings = (ROOT / "examples/stack/livekit.yaml").read_text(encoding="utf-8")
    (port,) = re.findall(r"^port: (\d+)$", settings, re.MULTILINE)
    assert f"LIVEKIT_URL=ws://127.0.0.1:{port} " in commands
