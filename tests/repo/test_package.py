"""What the package offers as a whole, and how its modules stand to one another."""

from __future__ import annotations

import ast
import importlib.resources
import inspect
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import Plugin
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

import livekit_plugins_speko as package

ROOT = Path(package.__file__).parent

OFFERED = {
    *("Speko", "create_speko_components", "SpekoComponents", "validate_intent", "Intent"),
    *("OptimizeFor", "PipelineConstraints", "SpekoSTT", "SpekoLLM", "SpekoTTS"),
    *("SpekoTTSChunkedStream", "SpekoAdapterError", "SpekoApiError", "SpekoAuthError"),
    *("SpekoRateLimitError", "RegisteredToolsLoader", "merge_tools", "ChatTool"),
    *("frames_to_wav", "parse_wav", "pcm_sample_rate_from_content_type"),
    *("chat_context_to_speko", "decode_synthesis_result", "__version__"),
    *("VoiceSession", "SessionSettings", "TurnReporter", "SpekoDataChannel"),
    "SpekoRealtimeModel",
}
COMPANIONS = {
    *("WavAudio", "validate_constraints", "RouteEvent", "EagerStats"),
    *("SpekoSTTAdapter", "SpekoTTSAdapter", "FirstWordsTokenizer", "SpekoRecognizeStream"),
    "RealtimeConnection",
}
"""What the functions offered give back, or do for a user's own adapter."""

# A module or a room imports only from the floors below. Rooms of one floor do not know each other.
FLOORS = (
    {"errors", "intent", "log", "version"},
    {"_checks", "_aio", "_text"},
    {"api", "audio"},
    {"_base", "_call", "_faults", "_livekit", "settings"},
    {"stt", "llm", "tts", "realtime", "data_channel"},
    {"components"},
    {"__init__"},
)
ROOMS = {"api", "audio", "stt", "llm", "tts", "realtime", "data_channel"}
MODULES = sorted(
    path for path in ROOT.rglob("*.py") if "testing" not in path.relative_to(ROOT).parts
)
# These only read and write messages.
WITHOUT_IO = (
    "errors",
    "intent",
    "_checks",
    "_text",
    "api/types",
    "api/options",
    "api/requests",
    "api/responses",
    "api/tools",
    "api/event_stream",
    "api/redaction",
    "tts/marks",
    "tts/first_piece",
    "tts/pieces",
    "tts/bound",
    "api/stt_messages",
    "api/unconfirmed_audio",
    "api/stream_clock",
    "api/reconnects",
    "api/realtime_events",
    "api/realtime_credentials",
    "api/realtime_options",
    "api/realtime_messages/__init__",
    "api/realtime_messages/pieces",
    "api/realtime_messages/proxy",
    "api/realtime_messages/xai",
    "api/realtime_messages/google",
    "api/session_messages",
    "data_channel/packets",
    "data_channel/pace",
    "settings",
)

COMMON = {"speko": None, "intent": ..., "constraints": None, "session_id": None}
REGISTERED = {"agent_id": None, "on_registered_tools_error": None}
IGNORED = {"api_base_url": None, "api_key": None}
ROUTING = {"language": ..., "region": None, "optimize_for": None}
SYNTHESIS = {
    "text": ...,
    **ROUTING,
    **dict.fromkeys(("voice", "model", "speed", "instructions", "spoken_form")),
    "constraints": None,
    "session_id": None,
}


def imports(module: Path) -> Iterator[tuple[int, str]]:
    """Each import of a module: how many dots it begins with, and what follows them."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module is None:
                yield from ((node.level, alias.name) for alias in node.names)
            else:
                yield node.level, node.module


def place(module: Path) -> str:
    """The room of a module, or the module itself at the package's top."""
    first = module.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def neighbours(module: Path) -> set[str]:
    """The modules and rooms of the package's top that a module imports from."""
    inside = len(module.relative_to(ROOT).parts)
    return {what.split(".")[0] for dots, what in imports(module) if dots == inside}


def libraries(module: Path) -> set[str]:
    return {what.split(".")[0] for dots, what in imports(module) if dots == 0}


def floor(name: str) -> int:
    return next(number for number, names in enumerate(FLOORS) if name in names)


def test_relative_imports_resolve_against_the_place_of_the_module() -> None:
    assert place(ROOT / "api" / "client.py") == "api"
    assert "intent" in neighbours(ROOT / "api" / "client.py")


def test_the_root_offers_what_it_says_and_nothing_else() -> None:
    assert set(package.__all__) == OFFERED | COMPANIONS
    assert all(hasattr(package, name) for name in package.__all__)


@pytest.mark.parametrize("name", sorted(OFFERED - {"OptimizeFor", "__version__"}))
def test_what_is_offered_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(package, name))


@pytest.mark.parametrize(
    ("offered", "parameters"),
    [
        (
            package.Speko,
            {
                **dict.fromkeys(("api_key", "base_url", "http_client")),
                "timeout": 30.0,
                "allow_http": False,
            },
        ),
        (package.Intent, ROUTING),
        (
            package.SpekoSTT,
            {
                **COMMON,
                **dict.fromkeys(("keywords", "stt_language", "prompt")),
                "streaming": False,
                "interim_results": True,
            },
        ),
        (
            package.SpekoLLM,
            {
                **COMMON,
                **REGISTERED,
                **IGNORED,
                **dict.fromkeys(("temperature", "max_tokens", "tools", "reasoning_effort")),
                "voice_optimized": True,
            },
        ),
        (
            package.SpekoTTS,
            {
                **COMMON,
                **dict.fromkeys(("voice", "speed", "instructions", "spoken_form")),
                "sample_rate": 24_000,
                "convert_audio": False,
            },
        ),
        (
            package.create_speko_components,
            {
                **COMMON,
                **REGISTERED,
                **IGNORED,
                **dict.fromkeys(("voice", "sentence_tokenizer", "llm")),
                **dict.fromkeys(("tts_options", "stt_options")),
                "vad": ...,
            },
        ),
        (package.RegisteredToolsLoader, {"speko": ..., "agent_id": ..., "on_error": None}),
        (package.merge_tools, {"registered": ..., "runtime": ...}),
        (package.chat_context_to_speko, {"chat_ctx": ..., "include_tool_calls": False}),
        (package.SpekoApiError, {"message": ..., "status": ..., "code": "UNKNOWN"}),
        (package.SpekoTTS.synthesize, {"text": ..., "conn_options": DEFAULT_API_CONNECT_OPTIONS}),
        (
            package.Speko.transcribe,
            {
                "audio": ...,
                **ROUTING,
                "content_type": "audio/wav",
                **dict.fromkeys(("constraints", "session_id", "keywords", "stt_language")),
                **dict.fromkeys(("prompt", "on_interim")),
            },
        ),
        (
            package.Speko.transcribe_stream,
            {
                **ROUTING,
                **dict.fromkeys(("constraints", "session_id", "keywords", "stt_language")),
                "prompt": None,
                "sample_rate": 16_000,
                "interim_results": True,
            },
        ),
        (package.Speko.synthesize_stream, SYNTHESIS),
        (
            package.Speko.complete_stream,
            {
                "messages": ...,
                "intent": ...,
                **dict.fromkeys(("system_prompt", "temperature", "max_tokens", "constraints")),
                **dict.fromkeys(("reasoning_effort", "voice_optimized")),
                **dict.fromkeys(("tools", "tool_choice", "parallel_tool_calls")),
                **dict.fromkeys(("max_tool_hops", "session_id")),
            },
        ),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_options_have_the_names_and_defaults_that_are_documented(
    offered: Any, parameters: dict[str, Any]
) -> None:
    found = {
        name: ... if parameter.default is parameter.empty else parameter.default
        for name, parameter in inspect.signature(offered).parameters.items()
        if name != "self"
    }
    assert found == parameters


@pytest.mark.parametrize(
    "offered",
    [
        *(package.Speko, package.SpekoSTT, package.SpekoLLM, package.SpekoTTS),
        *(package.create_speko_components, package.RegisteredToolsLoader),
    ],
)
def test_options_go_by_name_only(offered: Any) -> None:
    kinds = {parameter.kind for parameter in inspect.signature(offered).parameters.values()}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}


def test_the_version_is_one_that_a_package_may_have() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+([ab]\d+|rc\d+|\.dev\d+)?", package.__version__)


def test_the_package_says_that_it_is_typed() -> None:
    assert importlib.resources.files(package).joinpath("py.typed").is_file()


def test_the_import_registers_one_plugin_with_a_logger_of_its_own() -> None:
    (plugin,) = [
        plugin for plugin in Plugin.registered_plugins if plugin.package == package.__name__
    ]
    assert (plugin.title, plugin.version) == (package.__name__, package.__version__)
    assert plugin.logger is logging.getLogger("livekit.plugins.speko")


def test_an_import_outside_the_main_thread_works_unregistered() -> None:
    program = (
        "import threading\n"
        "def load():\n"
        "    import livekit_plugins_speko as package\n"
        "    from livekit.agents import Plugin\n"
        "    print(package.SpekoSTT.__name__, len(Plugin.registered_plugins))\n"
        "thread = threading.Thread(target=load)\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT.parent,
        timeout=60,
    )
    assert ran.stdout == "SpekoSTT 0\n", ran.stderr


def test_every_module_and_room_has_its_floor() -> None:
    assert set().union(*FLOORS) == {place(module) for module in MODULES}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_down_the_floors(module: Path) -> None:
    here = place(module)
    for name in neighbours(module) - ({here} if here in ROOMS else set()):
        same_floor = floor(name) == floor(here) and not {name, here} & ROOMS
        assert floor(name) < floor(here) or same_floor, f"{here} imports {name}"
    assert package.__name__ not in libraries(module)


def test_modules_of_one_floor_form_no_circle() -> None:
    order = {
        place(module): {name for name in neighbours(module) if floor(name) == floor(place(module))}
        for module in MODULES
        if place(module) not in ROOMS
    }
    tuple(TopologicalSorter(order).static_order())


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_httpx_is_imported_in_api_and_the_table_of_faults_alone(module: Path) -> None:
    if "httpx" in libraries(module):
        assert place(module) in {"api", "_faults"}


@pytest.mark.parametrize("name", ["api", "errors", "intent", "_checks"])
def test_the_client_and_what_it_stands_on_know_no_livekit(name: str) -> None:
    for module in MODULES:
        if place(module) == name:
            assert "livekit" not in libraries(module), module.name


@pytest.mark.parametrize("name", WITHOUT_IO)
def test_what_only_reads_and_writes_messages_does_no_io(name: str) -> None:
    assert not libraries(ROOT / f"{name}.py") & {
        "asyncio",
        "httpx",
        "socket",
        "ssl",
        "os",
        "io",
    }


@pytest.mark.parametrize(
    "module", sorted((ROOT / "testing").rglob("*.py")), ids=lambda path: path.stem
)
def test_the_testing_module_shares_nothing_with_what_it_tests(module: Path) -> None:
    inside = len(module.relative_to(ROOT / "testing").parts)
    for dots, what in imports(module):
        assert dots <= inside, f"{module.name} imports {what} from outside of testing/"
        assert dots or not what.startswith(package.__name__)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_of_the_package_needs_the_testing_module(module: Path) -> None:
    assert "testing" not in neighbours(module)
