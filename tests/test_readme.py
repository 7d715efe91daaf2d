"""The README's code blocks, run as they stand, and the tables that repeat what the code says."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

import livekit_plugins_speko
from livekit_plugins_speko import Speko
from livekit_plugins_speko.components import LLM_OPTIONS, STT_OPTIONS, TTS_OPTIONS
from livekit_plugins_speko.testing import LocalGateway, Reply, Speech
from tests.subprocesses import ROOT, run_python
from tests.support import tone

README = (ROOT / "README.md").read_text(encoding="utf-8")
PARAMETERS = inspect.signature(livekit_plugins_speko.create_speko_components).parameters
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def block(containing: str) -> str:
    """The one code block that holds this text."""
    (found,) = [str(code) for code in BLOCKS if containing in code]
    return found


def test_every_block_is_run_here() -> None:
    run = [block("rtc_session"), block("complete_stream"), block("async def test_")]
    assert sorted(BLOCKS) == sorted(run)


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
    done = await run_python("-m", "tests.agent_job", environment=environment)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report == {"replies": ["Good morning."], "shut_down": None}
    assert gateway.requests_to("synthesize")[0].json["text"] == "Hello! How can I help you?"


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
