"""The agent file that users copy: its settings, its tool, its errors, and a whole job."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import llm, vad

from examples.agent import INTENT, SYSTEM_PROMPT, Assistant, build_session
from livekit_plugins_speko import SessionSettings, Speko
from livekit_plugins_speko.testing import LocalGateway, Reply, Speech
from tests.helpers.subprocesses import run_python
from tests.helpers.support import tone

ROOT = Path(__file__).parent.parent.parent
AGENT = ROOT / "examples" / "agent.py"


async def local_time(city: str) -> str:
    """Call the agent's tool as LiveKit does, on an instance."""
    tool: Callable[..., Awaitable[str]] = Assistant().get_local_time
    return await tool(city=city)


async def test_tool_returns_the_time_of_a_city() -> None:
    assert re.fullmatch(r"\d\d:\d\d in tokyo", await local_time("tokyo"))


async def test_tool_fails_for_an_unknown_city() -> None:
    with pytest.raises(llm.ToolError, match="Atlantis is not known"):
        await local_time("Atlantis")


def test_agent_without_a_key_exits_and_names_the_demo() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SPEKO_")}
    done = subprocess.run(
        [sys.executable, AGENT, "dev"], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 1
    assert "SPEKO_API_KEY" in done.stderr and "make demo" in done.stderr
    assert "Traceback" not in done.stderr


async def run_job(gateway: LocalGateway, metadata: dict[str, Any]) -> dict[str, Any]:
    """Run the agent's entrypoint as a job in a process of its own; return its report."""
    environment = {
        "SPEKO_API_KEY": gateway.api_key,
        "SPEKO_BASE_URL": gateway.base_url,
        "JOB_METADATA": json.dumps(metadata),
    }
    done = await run_python("-m", "tests.examples.agent_job", environment=environment)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**report, "log": done.stderr}


async def test_job_greets_answers_and_closes(gateway: LocalGateway) -> None:
    gateway.complete.script(Reply("We are open around the clock."))
    gateway.synthesize.always(Speech(tone(0.2)))
    report = await run_job(gateway, {"voice": "sophia", "systemPrompt": "Be brief."})
    assert report["replies"] == ["We are open around the clock."]
    assert report["shut_down"] is None
    spoken = [request.json for request in gateway.requests_to("synthesize")]
    assert {body["voice"] for body in spoken} == {"sophia"}
    (asked,) = gateway.requests_to("complete")
    assert asked.json["messages"][0] == {"role": "system", "content": "Be brief."}
    assert "speko-agent turn" in report["log"] and "speko-agent usage" in report["log"]
    assert gateway.api_key not in report["log"]


async def test_job_of_a_hosted_agent_reports_its_turns(gateway: LocalGateway) -> None:
    gateway.register_session("s-1")
    gateway.register_agent("a-1", {"systemPrompt": "Be kind.", "firstMessage": "Good morning."})
    gateway.register_tools("a-1", [])
    gateway.complete.script(Reply("We are open around the clock."))
    gateway.synthesize.always(Speech(tone(0.2)))
    report = await run_job(gateway, {"sessionId": "s-1", "agentId": "a-1", "new": 1})
    assert report["replies"] == ["We are open around the clock."]
    (asked,) = gateway.requests_to("complete")
    assert asked.json["messages"][0] == {"role": "system", "content": "Be kind."}
    assert asked.json["intent"] == {"language": INTENT.language, "optimizeFor": "latency"}
    assert gateway.requests_to("synthesize")[0].json["text"] == "Good morning."
    turns = [(turn["source"], turn["text"]) for turn in gateway.session("s-1").turns.values()]
    assert turns[-2:] == [
        ("user", "When are you open?"),
        ("agent", "We are open around the clock."),
    ]


def test_assistant_has_its_own_words_without_settings() -> None:
    assert Assistant().instructions == SYSTEM_PROMPT
    assert Assistant("").instructions == ""


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"voice": 7}, '"voice" must be a string, got 7'),
        ({"agentId": "gone"}, "expected a registered one"),
    ],
)
async def test_job_that_cannot_be_taken_ends(
    gateway: LocalGateway, metadata: dict[str, Any], says: str
) -> None:
    report = await run_job(gateway, metadata)
    assert (report["replies"], report["shut_down"]) == ([], "bad settings")
    assert says in report["log"]
    assert {request.route for request in gateway.requests} <= {"agents"}


@pytest.mark.parametrize("streaming", [False, True])
def test_streaming_is_a_setting(streaming: bool, speko: Speko, voice_detector: vad.VAD) -> None:
    _, components = build_session(
        speko, voice_detector, SessionSettings(intent=INTENT), streaming=streaming
    )
    assert components.stt.wrapped_stt.capabilities.streaming is streaming
    assert components.stt.capabilities.streaming


@pytest.mark.parametrize(("value", "streaming"), [("", False), ("0", False), ("1", True)])
def test_streaming_is_turned_on_by_the_environment(
    value: str, streaming: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPEKO_STREAMING", value)
    assert runpy.run_path(str(AGENT))["STREAMING"] is streaming
