"""The README's code blocks, run as they stand, and the tables that repeat what the code says."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from livekit import api
from livekit.agents import AgentSession, APIConnectOptions, vad
from livekit.agents.voice.agent_session import SessionConnectOptions

import livekit_plugins_speko
from examples.stack.servers import (
    DEV_KEY,
    DEV_SECRET,
    GATEWAY,
    LIVEKIT_SERVER,
    SERVER_FLAGS,
    WORKER,
)
from livekit_plugins_speko import Speko
from livekit_plugins_speko.api import limits as _limits
from livekit_plugins_speko.api.redaction import MAX_MESSAGE_CHARS
from livekit_plugins_speko.api.transport import KEEPALIVE_EXPIRY_S, MAX_IDLE_CONNECTIONS
from livekit_plugins_speko.audio.pcm import MAX_CHANNELS
from livekit_plugins_speko.audio.wav import MAX_WAV_HEADER_BYTES
from livekit_plugins_speko.components import LLM_OPTIONS, STT_OPTIONS, TTS_OPTIONS
from livekit_plugins_speko.testing import LocalGateway, Reply, Speech
from tests.helpers.components_calls import make, take_a_turn
from tests.helpers.subprocesses import ROOT, run_python
from tests.helpers.support import tone
from tests.repo.readme import BLOCKS, README, block

PARAMETERS = inspect.signature(livekit_plugins_speko.create_speko_components).parameters


def test_every_block_is_run_here() -> None:
    run = (
        *("rtc_session", "complete_stream", "async def test_", "SessionConnectOptions"),
        *("def watch", "def caller_token"),
    )
    assert sorted(BLOCKS) == sorted(block(containing) for containing in run)


def test_the_block_on_timeouts_makes_options_that_a_session_takes() -> None:
    made: dict[str, Any] = {}
    exec(block("SessionConnectOptions"), made)
    for each in ("stt_conn_options", "llm_conn_options", "tts_conn_options"):
        assert getattr(made["options"], each).timeout == 4.0
    assert isinstance(made["options"], SessionConnectOptions)
    assert "conn_options" in inspect.signature(AgentSession).parameters


def test_the_token_of_a_caller_asks_for_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEKIT_API_KEY", "key")
    monkeypatch.setenv("LIVEKIT_API_SECRET", "s" * 32)
    made: dict[str, Any] = {}
    exec(block("def caller_token"), made)
    claims = api.TokenVerifier().verify(made["caller_token"]("room"))
    assert claims.video is not None and claims.video.room == "room" and claims.video.room_join
    assert claims.room_config is not None
    assert [agent.agent_name for agent in claims.room_config.agents] == ["front-desk"]


def test_the_commands_on_a_server_of_ones_own_are_those_that_the_tests_run() -> None:
    server = f".tools/{LIVEKIT_SERVER.name} {' '.join(SERVER_FLAGS)}"
    for command in (server, f"python {' '.join(GATEWAY)}", f"python {' '.join(WORKER)}"):
        assert command in README
    assert f"LIVEKIT_API_KEY={DEV_KEY} LIVEKIT_API_SECRET={DEV_SECRET}" in README
    settings = (ROOT / "examples/stack/livekit.yaml").read_text(encoding="utf-8")
    (port,) = re.findall(r"^port: (\d+)$", settings, re.MULTILINE)
    assert f"LIVEKIT_URL=ws://127.0.0.1:{port} " in README


def test_livekit_s_defaults_are_those_that_are_told() -> None:
    defaults = APIConnectOptions()
    assert (defaults.timeout, defaults.max_retry) == (10.0, 3)
    assert [defaults._interval_for_retry(attempt) for attempt in range(3)] == [0.1, 2.0, 2.0]


async def test_the_quickstart_takes_a_call(gateway: LocalGateway, tmp_path: Path) -> None:
    gateway.complete.script(Reply("Good morning."))
    gateway.synthesize.always(Speech(tone(0.2)))
    agent = tmp_path / "agent.py"
    agent.write_text(block("rtc_session"), encoding="utf-8")
    environment = {
        "SPEKO_API_KEY": gateway.api_key,
        "SPEKO_BASE_URL": gateway.base_url,
        "AGENT_FILE": str(agent),
    }
    done = await run_python("-m", "tests.examples.agent_job", environment=environment)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report == {"replies": ["Good morning."], "shut_down": None}
    texts = [request.json["text"] for request in gateway.requests_to("synthesize")]
    assert " ".join(texts[:2]) == "Hello! How can I help you?"


async def test_the_client_block_prints_a_reply_and_speaks(gateway: LocalGateway) -> None:
    gateway.complete.script(Reply("Bonjour tout le monde."))
    gateway.synthesize.script(Speech(tone(1.5)))
    environment = {"SPEKO_API_KEY": gateway.api_key, "SPEKO_BASE_URL": gateway.base_url}
    done = await run_python("-c", block("complete_stream"), environment=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Bonjour tout le monde.\n1.5 s spoken by local\n"


async def test_the_block_about_tests_passes_as_a_test(tmp_path: Path) -> None:
    test = tmp_path / "test_block.py"
    test.write_text(block("async def test_"), encoding="utf-8")
    done = await run_python(
        *("-m", "pytest", "-q", "-c", "pyproject.toml", "-p", "no:cov"),
        *("--rootdir", ".", str(test)),
        environment={},
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


async def test_the_block_on_routes_tells_of_each_call(
    gateway: LocalGateway,
    speko: Speko,
    voice_detector: vad.VAD,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made: dict[str, Any] = {}
    exec(block("def watch"), made)
    components = make(speko, voice_detector)
    made["watch"](components)
    await take_a_turn(gateway, components)
    told = capsys.readouterr().out
    for call in ("transcribe", "complete", "synthesize"):
        assert f"{call} completed local " in told


@pytest.mark.parametrize(
    ("row", "options"),
    [("llm", LLM_OPTIONS), ("tts_options", TTS_OPTIONS), ("stt_options", STT_OPTIONS)],
)
def test_the_table_of_options_has_each_option(row: str, options: tuple[str, ...]) -> None:
    (line,) = re.findall(rf"^\| `{row}` \|.*$", README, re.MULTILINE)
    assert re.findall(r"`(\w+)`", line)[1:] == list(options)


def test_every_name_of_the_table_for_typescript_users_exists() -> None:
    table = README.split("## Coming from")[1].split("## Testing")[0]
    here = [row.split("|")[2] for row in table.splitlines() if row.startswith("| ")]
    names = re.findall(r"`([A-Za-z_]+)(?:\(\.*\))?`", " ".join(here))
    fields = (field.name for field in dataclasses.fields(livekit_plugins_speko.Intent))
    known = {*dir(livekit_plugins_speko), *PARAMETERS, *fields}
    assert len(names) > 10
    assert set(names) - known == set()


async def test_the_engine_of_the_examples_page_answers_with_what_was_said(
    gateway: LocalGateway, speko: Speko
) -> None:
    page = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(compile(code, "examples/README.md", "exec"), namespace)
    gateway.complete.use(namespace["parrot"])
    messages = [{"role": "user", "content": "Polly?"}]
    reply = await speko.complete(messages=messages, intent={"language": "en"})
    assert reply.text == "Polly?"
    await namespace["serve"]()


def test_the_defaults_of_the_adapters_are_those_of_the_code() -> None:
    def default(adapter: Any, option: str) -> Any:
        return inspect.signature(adapter).parameters[option].default

    adapters = README[README.index("| `SpekoSTTAdapter` |") :].split("\n\n")[0]
    assert default(livekit_plugins_speko.SpekoSTTAdapter, "eager") is False
    delay_s = default(livekit_plugins_speko.SpekoSTTAdapter, "eager_delay")
    assert f"| `eager_delay` | {delay_s} s |" in adapters
    prefetch = default(livekit_plugins_speko.SpekoTTSAdapter, "prefetch")
    assert f"| `prefetch` | {prefetch} |" in adapters
    first = default(livekit_plugins_speko.FirstWordsTokenizer, "first")
    assert f"| `first` | `{first}` |" in adapters
    assert MAX_IDLE_CONNECTIONS == 10 and "keeps ten connections: beyond ten" in README
    assert KEEPALIVE_EXPIRY_S == 300 and "connections are kept for five minutes" in README


def test_the_bounds_are_those_of_the_code() -> None:
    bounds = README[README.index("| what | bound | beyond it |") :].split("\n\n")[0]
    mib, kib = 1024 * 1024, 1024
    assert {_limits.MAX_EVENT_BYTES, _limits.MAX_JSON_BYTES} == {4 * mib} and "4 MiB" in bounds
    assert _limits.MAX_TOOLS == 1_000 and "| 1000 |" in bounds
    assert {_limits.MAX_ERROR_BYTES, MAX_WAV_HEADER_BYTES} == {64 * kib}
    assert bounds.count("| 64 KiB |") == 2
    assert f"| {MAX_MESSAGE_CHARS} characters |" in bounds
    assert f"| {MAX_CHANNELS} |" in bounds
    assert f"| {_limits.MAX_WAITING_CHUNKS}, of 64 KiB at most |" in bounds
