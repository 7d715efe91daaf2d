"""The simulated phone line: the caller's frames, the agent's playback, the recording."""

from __future__ import annotations

import asyncio
import time
import wave
from pathlib import Path

import numpy as np
import pytest
from livekit import rtc
from numpy.typing import NDArray

from livekit_plugins_speko.testing import CallLine, LineSegment
from tests.helpers import support
from tests.helpers.support import loud_s, wav

CALLER_HZ = 16000
AGENT_HZ = 24000


def tone(seconds: float, rate_hz: int = CALLER_HZ) -> NDArray[np.int16]:
    return np.frombuffer(support.tone(seconds, rate=rate_hz), dtype="<i2")


async def capture(
    line: CallLine, seconds: float, rate_hz: int = AGENT_HZ, channels: int = 1
) -> None:
    """Push a part of a reply at once, as a fast TTS does."""
    samples = np.repeat(tone(seconds, rate_hz), channels)
    frame = support.frame(samples.tobytes(), rate=rate_hz, channels=channels)
    await line.output.capture_frame(frame)


async def speak(line: CallLine, seconds: float) -> None:
    """Push a whole reply at once."""
    await capture(line, seconds)
    line.output.flush()


async def pass_time(line: CallLine, seconds: float) -> None:
    """Let so much time pass on the line's own clock, which a busy machine delays."""
    await line.say(tone(seconds))


def agent_segments(line: CallLine) -> list[LineSegment]:
    return [segment for segment in line.segments if segment.speaker == "agent"]


async def received(line: CallLine) -> NDArray[np.int16]:
    """All that a session received of the caller on a line that is closed."""
    return np.concatenate([samples(frame) async for frame in line.input])


def samples(frame: rtc.AudioFrame) -> NDArray[np.int16]:
    return np.frombuffer(frame.data, dtype=np.int16)


# The caller


async def test_caller_comes_in_real_time_in_frames_of_20_ms() -> None:
    async with CallLine() as line:
        line.input.on_attached()
        began = time.perf_counter()
        frames = [await anext(line.input) for _ in range(15)]
        assert 0.2 < time.perf_counter() - began < 0.6
    forms = {(f.sample_rate, f.num_channels, f.samples_per_channel) for f in frames}
    assert forms == {(16000, 1, 320)}


async def test_utterance_arrives_unchanged_between_silences() -> None:
    said = tone(0.15)
    async with CallLine() as line:
        line.input.on_attached()
        segment = await line.say(said)
        await asyncio.sleep(0.05)
    heard = await received(line)
    start = int(np.flatnonzero(heard)[0]) - 1
    assert np.array_equal(heard[start : start + said.size], said)
    assert not heard[:start].any()
    assert not heard[start + said.size :].any()
    assert segment.ended_s is not None
    assert 0.1 < segment.ended_s - segment.started_s < 0.4


@pytest.mark.parametrize("as_path", [False, True])
async def test_wav_of_any_rate_and_channels_is_said_at_16000_hz_mono(
    tmp_path: Path, as_path: bool
) -> None:
    data = wav(support.tone(0.2, rate=48000, channels=2), rate=48000, channels=2)
    (tmp_path / "said.wav").write_bytes(data)
    async with CallLine() as line:
        line.input.on_attached()
        await line.say(tmp_path / "said.wav" if as_path else data)
    heard = await received(line)
    assert support.pitch(heard.tobytes(), CALLER_HZ) == pytest.approx(440, abs=5)
    assert np.abs(heard).max() == pytest.approx(8000, rel=0.1)


@pytest.mark.parametrize(
    ("speech", "error", "text"),
    [
        (np.zeros(10, dtype=np.float32), TypeError, "expected int16 samples, got float32"),
        (np.zeros((10, 2), dtype=np.int16), ValueError, r"expected samples of shape \(n,\)"),
        (np.zeros(0, dtype=np.int16), ValueError, "got no samples"),
        (b"RIFF no wav", ValueError, "expected a 16-bit PCM WAV, got"),
        (b"", ValueError, "expected a 16-bit PCM WAV, got"),
        (wav(b"\x80" * 100, width=1), ValueError, "expected a 16-bit PCM WAV, got 8 bits"),
    ],
)
async def test_invalid_speech_is_an_error(
    speech: NDArray[np.int16] | bytes, error: type[Exception], text: str
) -> None:
    async with CallLine() as line:
        with pytest.raises(error, match=text):
            await line.say(speech)


async def test_two_utterances_at_once_are_said_one_after_the_other() -> None:
    async with CallLine() as line:
        first, second = await asyncio.gather(line.say(tone(0.06)), line.say(tone(0.06)))
    assert first.ended_s is not None
    assert second.started_s >= first.ended_s
    assert line.segments == [first, second]


async def test_cancelled_utterance_ends_at_once() -> None:
    async with CallLine() as line:
        saying = asyncio.create_task(line.say(tone(5)))
        await asyncio.sleep(0.1)
        saying.cancel()
        after = await line.say(tone(0.06))
    with pytest.raises(asyncio.CancelledError):
        await saying
    assert after.started_s < 1
    assert [segment.speaker for segment in line.segments] == ["caller", "caller"]
    assert loud_s(line.recording()[:, 0]) < 0.6


async def test_utterance_cancelled_before_its_turn_leaves_no_segment() -> None:
    async with CallLine() as line:
        first = asyncio.create_task(line.say(tone(0.06)))
        second = asyncio.create_task(line.say(tone(0.06)))
        await asyncio.sleep(0)
        second.cancel()
        said = [await first, await line.say(tone(0.06))]
    assert line.segments == said


async def test_line_closes_after_a_cancelled_utterance() -> None:
    line = CallLine()
    async with line:
        saying = asyncio.create_task(line.say(tone(5)))
        await asyncio.sleep(0)
        saying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saying
    assert line.segments == []


async def test_line_that_was_never_opened_closes() -> None:
    line = CallLine()
    await line.aclose()
    with pytest.raises(RuntimeError, match="the line is not open"):
        await line.say(tone(0.06))


async def test_frames_are_dropped_while_no_session_is_attached() -> None:
    async with CallLine() as line:
        await line.say(tone(0.06))
        line.input.on_attached()
        assert not samples(await anext(line.input)).any()
        line.input.on_detached()
        await line.say(tone(0.06))
    assert not any([samples(frame).any() async for frame in line.input])


# The agent


@pytest.mark.parametrize(
    "parts",
    [
        [(24000, 1)],
        [(22050, 1)],
        [(16000, 2)],
        [(16000, 1), (48000, 1), (24000, 1)],
    ],
    ids=["24000", "22050", "stereo", "changing"],
)
async def test_frames_of_any_rate_are_played_in_real_time(parts: list[tuple[int, int]]) -> None:
    async with CallLine() as line:
        for rate_hz, channels in parts:
            await capture(line, 0.24 / len(parts), rate_hz, channels)
        line.output.flush()
        played = await line.output.wait_for_playout()
        segment = await line.agent_finished(after_s=0)
    assert played.playback_position == pytest.approx(0.24) and not played.interrupted
    assert segment.ended_s is not None
    assert segment.ended_s - segment.started_s == pytest.approx(0.24, abs=0.1)
    # Each sample of the tone, but the few that are 0: a change of rate loses none.
    assert np.count_nonzero(line.recording()[:, 1]) == pytest.approx(0.24 * AGENT_HZ, abs=100)


async def test_each_reply_has_one_start_and_one_finish_event() -> None:
    events: list[str] = []
    async with CallLine() as line:
        line.output.on("playback_started", lambda event: events.append("started"))
        line.output.on("playback_finished", lambda event: events.append("finished"))
        for _ in range(2):
            await speak(line, 0.06)
            await line.output.wait_for_playout()
    assert events == ["started", "finished", "started", "finished"]


async def test_reply_that_stutters_stays_one_segment() -> None:
    async with CallLine() as line:
        await capture(line, 0.11)
        await pass_time(line, 0.2)
        # Only whole blocks of 20 ms are played: the rest waits for more, without a gap.
        assert np.count_nonzero(line.recording()[:, 1]) == pytest.approx(2400, abs=24)
        await capture(line, 0.09)
        line.output.flush()
        await line.output.wait_for_playout()
    assert len(agent_segments(line)) == 1
    assert loud_s(line.recording()[:, 1]) == pytest.approx(0.2, abs=0.03)


async def test_paused_agent_is_silent_and_then_continues() -> None:
    async with CallLine() as line:
        assert line.output.can_pause
        await speak(line, 0.2)
        await line.agent_started_speaking()
        line.output.pause()
        paused = loud_s(line.recording()[:, 1])
        await pass_time(line, 0.1)
        assert loud_s(line.recording()[:, 1]) == paused < 0.2
        line.output.resume()
        played = await line.output.wait_for_playout()
    assert played.playback_position == pytest.approx(0.2) and not played.interrupted
    assert len(agent_segments(line)) == 1
    assert loud_s(line.recording()[:, 1]) == pytest.approx(0.2, abs=0.03)


async def test_clear_stops_the_agent_and_reports_how_much_was_played() -> None:
    async with CallLine() as line:
        await capture(line, 5)
        await line.agent_started_speaking()
        await pass_time(line, 0.1)
        line.output.clear_buffer()
        # The rest of the interrupted reply is dropped, and the next reply is not.
        await capture(line, 5)
        line.output.flush()
        played = await line.output.wait_for_playout()
        segment = await line.agent_finished(after_s=0)
        assert played.interrupted and segment.interrupted
        assert 0.04 < played.playback_position < 0.5
        recorded_s = loud_s(line.recording()[:, 1])
        assert recorded_s == pytest.approx(played.playback_position, abs=0.03)
        await speak(line, 0.1)
        assert not (await line.output.wait_for_playout()).interrupted
    assert loud_s(line.recording()[:, 1]) == pytest.approx(recorded_s + 0.1, abs=0.03)


async def test_reply_cleared_before_its_start_ends_at_zero_without_a_segment() -> None:
    async with CallLine() as line:
        line.output.pause()
        await speak(line, 1)
        await pass_time(line, 0.06)
        line.output.clear_buffer()
        played = await line.output.wait_for_playout()
    assert (played.playback_position, played.interrupted) == (0, True)
    assert agent_segments(line) == []


# Both sides, and the end


async def test_both_sides_are_on_one_clock_in_the_saved_wav(tmp_path: Path) -> None:
    async with CallLine() as line:
        caller = await line.say(tone(0.1))
        await speak(line, 0.1)
        agent = await line.agent_finished()
    path = tmp_path / "new" / "call.wav"
    line.save(path)
    with wave.open(str(path)) as reader:
        assert reader.getparams()[:3] == (2, 2, 24000)
        both = np.frombuffer(reader.readframes(reader.getnframes()), dtype="<i2").reshape(-1, 2)
    # The resampler dithers: two readings differ in the last bit.
    np.testing.assert_allclose(both, line.recording(), atol=2)
    for side, segment in ((0, caller), (1, agent)):
        first = int(np.flatnonzero(np.abs(both[:, side]) > 500)[0]) / 24000
        assert first == pytest.approx(segment.started_s, abs=0.15)
    assert caller.ended_s is not None
    assert agent.started_s >= caller.ended_s


async def test_wait_for_a_reply_can_look_back() -> None:
    async with CallLine() as line:
        await speak(line, 0.06)
        await line.output.wait_for_playout()
        first = await line.agent_finished(after_s=0)
        second = asyncio.create_task(line.agent_finished(after_s=line.now_s))
        await speak(line, 0.06)
        assert (await second).started_s > first.started_s
        assert await line.agent_started_speaking(after_s=0) == first


async def test_closed_line_ends_every_wait_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    async with CallLine() as line:
        waits = [
            asyncio.create_task(line.say(tone(5))),
            asyncio.create_task(line.agent_started_speaking()),
            asyncio.create_task(line.agent_finished()),
        ]
        await asyncio.sleep(0.05)
    for wait in waits:
        with pytest.raises(RuntimeError, match="the line was closed"):
            await wait
    with pytest.raises(RuntimeError, match="the line is not open"):
        await line.say(tone(0.1))
    with pytest.raises(RuntimeError, match="opens once"):
        await line.__aenter__()
    assert asyncio.all_tasks() == before


async def test_session_that_speaks_after_the_close_does_not_wait() -> None:
    async with CallLine() as line:
        pass
    await speak(line, 1)
    played = await asyncio.wait_for(line.output.wait_for_playout(), 1)
    assert (played.playback_position, played.interrupted) == (0, True)
