"""The demo with a voice model."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from livekit_plugins_speko.testing import (
    AfterAudio,
    LocalGateway,
    RealtimeReply,
    RealtimeScript,
    Speech,
)
from tests.helpers.support import tone

ROOT = Path(__file__).parent.parent.parent
DEMO = [sys.executable, str(ROOT / "examples" / "demo.py"), "--speech-to-speech"]
TURNS = ("time", "story", "barge_in")


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SPEKO_")}
    return {**kept, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", **more}


def test_demo_holds_the_conversation_with_a_tool_and_a_barge_in(tmp_path: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--out", str(tmp_path), "--turns", ",".join(TURNS)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "all 3 turns done", done.stdout
    assert done.returncode == 0
    spoken = re.findall(r"^ *\d+\.\d s  (caller|agent|tool) +(.*)$", done.stdout, re.M)
    assert spoken[0] == ("agent", "Hello, this is the front desk. How can I help you?")
    assert any(who == "tool" and "Tokyo" in text for who, text in spoken)
    assert ("agent", "(falls silent, the caller speaks)") in spoken
    assert "nobody on that coast was lost" not in done.stdout
    waits = json.loads((tmp_path / "latencies.json").read_text())
    assert list(waits) == list(TURNS)
    for each in waits.values():
        assert 0 < each["transcript_ms"] < each["first_token_ms"] < each["first_audio_ms"] < 10_000
    assert {file.name for file in tmp_path.iterdir()} == {
        *("call.wav", "timeline.svg", "latencies.json"),
    }


async def test_demo_with_a_key_uses_the_service_and_fails_with_a_turn(tmp_path: Path) -> None:
    async with LocalGateway() as gateway:
        gateway.synthesize.always(Speech(b"\x00\x20" * 12000))
        # After the greeting, which takes half a second, and the question.
        reply = RealtimeReply("I do not know.", user="whatever was understood", audio=tone(1.0))
        gateway.realtime.script(RealtimeScript([AfterAudio(6.0), reply]))
        process = await asyncio.create_subprocess_exec(
            *DEMO,
            *("--turns", "time", "--out", str(tmp_path)),
            env=environment(SPEKO_API_KEY=gateway.api_key, SPEKO_BASE_URL=gateway.base_url),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await asyncio.wait_for(process.communicate(), 60))[0].decode()
        assert f"the call uses {gateway.base_url}" in output
        (made,) = gateway.requests_to("sessions")
        assert made.json["intent"] == {"language": "en-US", "optimizeFor": "latency"}
        assert await (await gateway.realtime.connected()).closed() == 1000
    assert process.returncode == 1
    assert output.splitlines()[-1] == "FAILED  time: the tool get_local_time was not called"
    assert "turns done" not in output


def test_streaming_recognition_is_refused_beside_a_voice_model() -> None:
    done = subprocess.run(
        [*DEMO, "--streaming"], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--streaming: a voice model needs no recognition" in done.stderr
