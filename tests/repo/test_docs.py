"""The code blocks of the documentation, run as they stand."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from livekit import api
from livekit.agents import AgentSession, vad
from livekit.agents.voice.agent_session import SessionConnectOptions

from livekit_plugins_speko import Speko, SpekoComponents, SpekoLLM, SpekoSTT, SpekoTTS
from livekit_plugins_speko.testing import (
    AfterAudio,
    LocalGateway,
    RealtimeReply,
    RealtimeScript,
    Reply,
    Speech,
)
from tests.helpers.components_calls import INTENT, make, take_a_turn
from tests.helpers.gateway_realtime import connect_realtime
from tests.helpers.gateway_sockets import CONFIG, END, SOUND, connect_socket, wav_header
from tests.helpers.realtime_calls import calling
from tests.helpers.subprocesses import run_python
from tests.helpers.support import tone
from tests.repo.pages import GUIDE, block, blocks

QUICKSTART = "stt=speko.STT(intent=INTENT)"
FASTEST = "def prewarm"
RUN_BELOW = (
    *(QUICKSTART, FASTEST, "parts = ", "complete_stream", "async def test_", "def watch"),
    *("SessionConnectOptions", "def caller_token", "def switch_to_spanish", "async def parrot"),
    *("DROPPED_ONCE", "speko.RealtimeModel(", "async def ask("),
)
"""Each block of the guide, by a text that only it holds."""


def run(containing: str, **names: Any) -> dict[str, Any]:
    """Run a block in this process; return the names that it made."""
    exec(compile(block(containing), f"block with {containing}", "exec"), names)
    return names


def test_every_block_is_run_here() -> None:
    written = [code for page in GUIDE for code in blocks(page, "python")]
    assert sorted(written) == sorted(block(containing) for containing in RUN_BELOW)


@pytest.mark.parametrize("containing", [QUICKSTART, FASTEST])
async def test_the_agents_of_the_guide_take_a_call(
    containing: str, gateway: LocalGateway, tmp_path: Path
) -> None:
    gateway.complete.script(Reply("Good morning."))
    gateway.synthesize.always(Speech(tone(0.2)))
    agent = tmp_path / "agent.py"
    agent.write_text(block(containing), encoding="utf-8")
    environment = {
        "SPEKO_API_KEY": gateway.api_key,
        "SPEKO_BASE_URL": gateway.base_url,
        "AGENT_FILE": str(agent),
    }
    done = await run_python("-m", "tests.examples.agent_job", environment=environment)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report == {"replies": ["Good morning."], "shut_down": None}
    texts = " ".join(request.json["text"] for request in gateway.requests_to("synthesize"))
    assert texts.startswith("Hello! How can I help you?")


async def test_the_readme_s_parts_for_calls_take_a_turn(
    gateway: LocalGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPEKO_API_KEY", gateway.api_key)
    monkeypatch.setenv("SPEKO_BASE_URL", gateway.base_url)
    imports = "from livekit.agents import AgentSession\nfrom livekit.plugins import silero, speko\n"
    made: dict[str, Any] = {"INTENT": INTENT}
    exec(imports + block("parts = "), made)
    parts: SpekoComponents = made["parts"]
    assert isinstance(made["session"], AgentSession) and made["session"].tts is parts.tts
    assert [request.status for request in await take_a_turn(gateway, parts)] == [200, 200, 200]
    await parts.aclose()


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


async def test_the_block_on_websockets_makes_scripts_that_are_played(
    gateway: LocalGateway,
) -> None:
    made = run("DROPPED_ONCE")
    gateway.transcribe_stream.script(*made["DROPPED_ONCE"])
    gateway.realtime.script(made["CALLER_AND_AGENT"])
    texts = []
    for code in (1011, None):
        async with connect_socket(gateway) as socket:
            await socket.send(CONFIG, wav_header(), SOUND * 2, END)
            received = await (socket.messages(3) if code is None else socket.all_messages())
            texts.append(received[1]["text"])
            assert socket.code == code
    assert texts == ["I need a", "I need a taxi."]
    async with connect_realtime(gateway, "proxy") as client:
        await client.send(SOUND * 3)
        received = await client.all_messages()
    assert sum(len(each) for each in received if isinstance(each, bytes)) == 48_000
    assert received[-1]["t"] == "end"


async def test_the_block_on_routes_prints_each_call(
    gateway: LocalGateway,
    speko: Speko,
    voice_detector: vad.VAD,
    capsys: pytest.CaptureFixture[str],
) -> None:
    components = make(speko, voice_detector)
    run("def watch")["watch"](components)
    await take_a_turn(gateway, components)
    printed = capsys.readouterr().out
    for call in ("transcribe", "complete", "synthesize"):
        assert f"{call} completed local " in printed


async def test_the_block_on_changing_options_changes_the_next_requests(
    gateway: LocalGateway, speko: Speko
) -> None:
    tts = SpekoTTS(speko=speko, intent=INTENT)
    others = SpekoSTT(speko=speko, intent=INTENT), SpekoLLM(speko=speko, intent=INTENT)
    run("def switch_to_spanish")["switch_to_spanish"](*others, tts)
    gateway.synthesize.script(Speech(tone()))
    async with tts.synthesize("Hola.") as stream:
        assert [audio async for audio in stream]
    (request,) = gateway.requests
    assert request.json["intent"] == {"language": "es-MX", "optimizeFor": "latency"}
    assert (request.json["voice"], request.json["speed"]) == ("sofia", 0.9)


async def test_the_agent_with_a_voice_model_takes_a_turn(
    capsys: pytest.CaptureFixture[str],
) -> None:
    build = run("speko.RealtimeModel(")["build_session"]
    async with calling(build_session=build) as call:
        await call.reply("It is noon.", question="What time is it?")
    assert call.history == [("user", "What time is it?"), ("assistant", "It is noon.")]
    assert capsys.readouterr().out.startswith("realtime completed ")


async def test_the_block_on_the_client_of_voice_models_takes_a_turn(
    gateway: LocalGateway, speko: Speko, capsys: pytest.CaptureFixture[str]
) -> None:
    reply = RealtimeReply("It is noon.", user="What time is it?", audio=b"\x01\x00" * 9_600)
    gateway.realtime.script(RealtimeScript([AfterAudio(1.1), reply]))
    assert await run("async def ask(")["ask"](speko, bytes(9_600)) == b"\x01\x00" * 9_600
    assert capsys.readouterr().out == "user: What time is it?\nassistant: It is noon.\n"


def test_the_block_on_timeouts_makes_options_that_a_session_takes() -> None:
    options = run("SessionConnectOptions")["options"]
    for each in ("stt_conn_options", "llm_conn_options", "tts_conn_options"):
        assert getattr(options, each).timeout == 4.0
    assert isinstance(options, SessionConnectOptions)
    assert "conn_options" in inspect.signature(AgentSession).parameters


def test_the_token_of_a_caller_names_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEKIT_API_KEY", "key")
    monkeypatch.setenv("LIVEKIT_API_SECRET", "s" * 32)
    claims = api.TokenVerifier().verify(run("def caller_token")["caller_token"]("room"))
    assert claims.video is not None and claims.video.room == "room" and claims.video.room_join
    assert claims.room_config is not None
    assert [agent.agent_name for agent in claims.room_config.agents] == ["front-desk"]


async def test_the_engine_of_the_examples_page_repeats_what_was_said(
    gateway: LocalGateway, speko: Speko
) -> None:
    made = run("async def parrot")
    gateway.complete.use(made["parrot"])
    messages = [{"role": "user", "content": "Polly?"}]
    reply = await speko.complete(messages=messages, intent={"language": "en"})
    assert reply.text == "Polly?"
    await made["serve"]()
