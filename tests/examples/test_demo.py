from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import wave
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from examples.demo_parts.screen import Screen
from examples.demo_parts.show import Options, read_words
from examples.demo_parts.show import run as run_demo
from examples.demo_parts.turns import TURNS, Outcome, Turn, judge, judge_barge_in
from livekit_plugins_speko.testing import (
    AfterAudio,
    LineSegment,
    LocalGateway,
    RealtimeReply,
    RealtimeScript,
    Reply,
    Speech,
    Transcript,
)
from tests.helpers.support import loud_s, tone, wav

ROOT = Path(__file__).parent.parent.parent
WORDS: dict[str, str] = json.loads((ROOT / "tests/fixtures/fixtures.json").read_text())
DEMO = [sys.executable, str(ROOT / "examples" / "demo.py")]
VOICE_MODEL_DEMO = [*DEMO, "--speech-to-speech"]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SPEKO_")}
    return {**kept, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", **more}


# The demo, once, with a tool, a barge-in and the turn that barges in. `make demo` takes all turns.

TAKEN = [turn for turn in TURNS if turn.name in ("time", "story", "barge_in")]


@dataclass(frozen=True)
class Run:
    status: int
    output: str
    folder: Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("demo") / "new folder"
    done = subprocess.run(
        [*DEMO, "--out", str(folder), "--turns", ",".join(turn.name for turn in TAKEN)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
        check=False,
    )
    return Run(done.returncode, done.stdout, folder)


def test_demo_takes_its_turns_and_exits_with_zero(run: Run) -> None:
    assert run.output.splitlines()[-1] == f"all {len(TAKEN)} turns done", run.output
    assert run.status == 0


def test_output_has_the_steps_of_loading(run: Run) -> None:
    steps = re.findall(r"^  (\S.*?) +\d+\.\d s$", run.output, re.M)
    assert "Load speech recognition (Whisper tiny.en)" in steps
    assert "Load the voice (Piper, en_US-joe-medium)" in steps
    assert "Import LiveKit Agents and the plugin" in steps


def test_output_has_the_conversation_in_order(run: Run) -> None:
    spoken = re.findall(r"^ *\d+\.\d s  (caller|agent|tool) +(.*)$", run.output, re.M)
    callers = [text for who, text in spoken if who == "caller"]
    assert [re.findall(r"\w+", text.lower()) for text in callers] == [
        re.findall(r"\w+", WORDS[turn.name].lower()) for turn in TAKEN
    ]
    assert spoken[0][0] == "agent"
    assert any(who == "tool" and "Tokyo" in text for who, text in spoken)
    assert any("nine to five" in text for who, text in spoken if who == "agent")


def test_barge_in_cuts_the_story(run: Run) -> None:
    assert "Once upon a time" in run.output
    assert "falls silent" in run.output
    assert "nobody on that coast was lost" not in run.output


def test_output_has_the_latencies_of_each_turn(run: Run) -> None:
    for turn in TAKEN:
        row = re.search(rf"│ {turn.name}((?: +│ +\d+)+) │ done +│", run.output)
        assert row is not None, run.output
        spoken, transcript, first_token, first_audio = map(int, re.findall(r"\d+", row[1]))
        assert 0 < spoken < transcript < first_token < first_audio < 10_000


def test_latencies_are_written_as_json(run: Run) -> None:
    assert f"wrote {run.folder / 'latencies.json'}" in run.output
    waits = json.loads((run.folder / "latencies.json").read_text())
    assert list(waits) == [turn.name for turn in TAKEN]
    names = ("end_of_speech_ms", "transcript_ms", "first_token_ms", "first_audio_ms")
    for each in waits.values():
        assert list(each) == list(names)
        assert 0 < each["transcript_ms"] < each["first_audio_ms"] < 10_000


def test_recording_has_the_caller_left_and_the_agent_right(run: Run) -> None:
    with wave.open(str(run.folder / "call.wav")) as reader:
        assert reader.getparams()[:3] == (2, 2, 24000)
        both = np.frombuffer(reader.readframes(reader.getnframes()), dtype="<i2").reshape(-1, 2)
    said_s = sum(
        len((ROOT / f"tests/fixtures/{turn.name}.wav").read_bytes()) / 32000 for turn in TAKEN
    )
    assert loud_s(both[:, 0], above=300) == pytest.approx(said_s, rel=0.35)
    assert loud_s(both[:, 1], above=300) > 8
    caller, agent = (int(np.flatnonzero(np.abs(side) > 300)[0]) / 24000 for side in both.T)
    assert caller > agent + 1, "the agent greets first"


def test_timeline_is_an_svg(run: Run) -> None:
    root = ElementTree.parse(run.folder / "timeline.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"


def test_output_without_a_terminal_has_no_escapes(run: Run) -> None:
    assert "\x1b" not in run.output


# Other ways to run it


async def test_demo_with_a_key_uses_the_service_and_fails_with_a_turn(
    tmp_path: Path,
) -> None:
    async with LocalGateway() as gateway:
        gateway.transcribe.always(Transcript("whatever the service understood"))
        gateway.complete.always(Reply("I do not know."))
        gateway.synthesize.always(Speech(b"\x00\x20" * 12000))
        process = await asyncio.create_subprocess_exec(
            *DEMO,
            *("--turns", "time", "--out", str(tmp_path)),
            env=environment(SPEKO_API_KEY=gateway.api_key, SPEKO_BASE_URL=gateway.base_url),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await asyncio.wait_for(process.communicate(), 60))[0].decode()
        assert f"the call uses {gateway.base_url}" in output
    assert process.returncode == 1
    assert output.splitlines()[-1] == "FAILED  time: the tool get_local_time was not called"
    assert "turns done" not in output


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "fixtures.json can't be used: "),
        ({"fixtures.json": b"{"}, "fixtures.json can't be used: "),
        ({"fixtures.json": b"{}"}, "time.wav can't be used: "),
        ({"fixtures.json": b"{}", "time.wav": b"no WAV"}, "time.wav can't be used: "),
        ({"fixtures.json": b"{}", "time.wav": wav(tone())}, 'has no words for "time"'),
    ],
)
def test_invalid_fixture_is_named(tmp_path: Path, files: dict[str, bytes], says: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    turns = [turn for turn in TURNS if turn.name == "time"]
    with pytest.raises(ValueError) as refused:
        read_words(Options(tmp_path / "out", tmp_path, turns))
    assert says in str(refused.value)


async def test_demo_with_an_invalid_fixture_fails_before_loading(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run_demo(Options(tmp_path / "out", tmp_path, TURNS), Screen()) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("FAILED  ") and "fixtures.json can't be used" in line


def test_unknown_turn_is_refused_with_the_known_names() -> None:
    done = subprocess.run(
        [*DEMO, "--turns", "breakfast"], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "expected some of question, time, story, barge_in, goodbye" in done.stderr


# The verdicts on turns


def outcome(**changes: object) -> Outcome:
    """Return a turn that succeeded, but for the changes."""
    right: dict[str, object] = {
        "turn": Turn("time", tool="get_local_time", expects="in Tokyo"),
        "started_s": 10.0,
        "ended_s": 12.0,
        "transcript_s": 13.0,
        "first_token_s": 13.25,
        "reply": LineSegment("agent", 13.5, 15.0),
        "heard": ["What time is it, in Tokyo?"],
        "said": ["12:30 in Tokyo."],
        "tools": ["get_local_time"],
    }
    return Outcome(**{**right, **changes})  # type: ignore[arg-type]


SAID = "What time is it in Tokyo?"


def test_good_turn_has_latencies_and_no_problems() -> None:
    right = outcome()
    assert judge(right, SAID) == []
    assert (right.transcript_ms, right.first_token_ms, right.first_audio_ms) == (1000, 1250, 1500)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"heard": []}, "the agent understood nothing"),
        ({"heard": ["What time is it?"]}, 'the transcript is "What time is it?"'),
        ({"tools": []}, "the tool get_local_time was not called"),
        ({"reply": None}, "no reply was heard"),
        ({"said": []}, "the reply has no words"),
        ({"said": ["I do not know."]}, 'the reply "I do not know." does not say "in Tokyo"'),
    ],
)
def test_failed_turn_has_its_problem(changes: dict[str, object], problem: str) -> None:
    [found] = judge(outcome(**changes), SAID)
    assert problem in found


def test_words_of_the_real_service_are_not_compared() -> None:
    assert judge(outcome(heard=["Time, Tokyo?"], said=["Half past twelve."]), None) == []


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (None, "no reply to interrupt"),
        (LineSegment("agent", 5, 20.0), "was not stopped"),
        (LineSegment("agent", 5), "was not stopped"),
        (LineSegment("agent", 5, 14.5, True), "continued for 4.5 s"),
        (LineSegment("agent", 5, 9.0, True), "had stopped before"),
    ],
)
def test_failed_barge_in_has_its_problem(reply: LineSegment | None, problem: str) -> None:
    [found] = judge_barge_in(outcome(reply=reply), outcome())
    assert problem in found


def test_quick_end_of_the_interrupted_reply_is_no_problem() -> None:
    assert judge_barge_in(outcome(reply=LineSegment("agent", 5, 10.8, True)), outcome()) == []


# With a voice model. In this file, since two conversations at once would be late on two cores.


def test_demo_holds_the_conversation_with_a_tool_and_a_barge_in(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *VOICE_MODEL_DEMO,
            "--out",
            str(tmp_path),
            "--turns",
            ",".join(turn.name for turn in TAKEN),
        ],
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
    assert list(waits) == [turn.name for turn in TAKEN]
    for each in waits.values():
        assert 0 < each["transcript_ms"] < each["first_token_ms"] < each["first_audio_ms"] < 10_000
    assert {file.name for file in tmp_path.iterdir()} == {
        *("call.wav", "timeline.svg", "latencies.json"),
    }


async def test_demo_with_a_key_uses_the_services_voice_model_and_fails_with_a_turn(
    tmp_path: Path,
) -> None:
    async with LocalGateway() as gateway:
        gateway.synthesize.always(Speech(b"\x00\x20" * 12000))
        # After the greeting, which takes half a second, and the question.
        reply = RealtimeReply("I do not know.", user="whatever was understood", audio=tone(1.0))
        gateway.realtime.script(RealtimeScript([AfterAudio(6.0), reply]))
        process = await asyncio.create_subprocess_exec(
            *VOICE_MODEL_DEMO,
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
        [*VOICE_MODEL_DEMO, "--streaming"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--streaming: a voice model needs no recognition" in done.stderr
