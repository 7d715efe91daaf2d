from __future__ import annotations

import asyncio
import time
import wave
from pathlib import Path

import numpy as np
import pytest
from livekit import rtc
from numpy.typing import NDArray

from livekit_plugins_speko.testing import CallLine
from tests.helpers import support
from tests.helpers.support import loud_s, wav

RATE_HZ = 16000


def tone(seconds: float, rate_hz: int = RATE_HZ) -> NDArray[np.int16]:
    return np.frombuffer(support.tone(seconds, rate=rate_hz), dtype="<i2")


def frame(samples: NDArray[np.int16], rate_hz: int, channels: int = 1) -> rtc.AudioFrame:
    return support.frame(samples.tobytes(), rate=rate_hz, channels=channels)


async def speak(line: CallLine, seconds: float, rate_hz: int = 24000) -> None:
    """Push a whole reply at once, the way a quick TTS does."""
    await line.output.capture_frame(frame(tone(seconds, rate_hz), rate_hz))
    line.output.flush()


async def test_the_caller_is_heard_in_real_time_in_frames_of_20_ms() -> None:
    async with CallLine() as line:
        line.input.on_attached()
        began = time.perf_counter()
        frames = [await anext(line.input) for _ in range(15)]
        assert 0.2 < time.perf_counter() - began < 0.6
    assert {(f.sample_rate, f.num_channels, f.samples_per_channel) for f in frames} == {
        (16000, 1, 320)
    }


async def test_what_the_caller_says_arrives_sample_by_sample_between_silences() -> None:
    said = tone(0.15)
    async with CallLine() as line:
        line.input.on_attached()
        segment = await line.say(said)
        await asyncio.sleep(0.05)
    heard = np.concatenate([np.frombuffer(f.data, dtype=np.int16) async for f in line.input])
    start = int(np.flatnonzero(heard)[0]) - 1
    assert np.array_equal(heard[start : start + said.size], said)
    assert not heard[:start].any()
    assert not heard[start + said.size :].any()
    assert segment.ended_s is not None
    assert 0.1 < segment.ended_s - segment.started_s < 0.4


@pytest.mark.parametrize("as_path", [False, True])
async def test_a_wav_of_another_rate_with_two_channels_is_said_at_16000_hz_in_mono(
    tmp_path: Path, as_path: bool
) -> None:
    data = wav(support.tone(0.2, rate=48000, channels=2), rate=48000, channels=2)
    (tmp_path / "said.wav").write_bytes(data)
    async with CallLine() as line:
        line.input.on_attached()
        await line.say(tmp_path / "said.wav" if as_path else data)
    heard = np.concatenate([np.frombuffer(f.data, dtype=np.int16) async for f in line.input])
    spectrum = np.abs(np.fft.rfft(heard.astype(np.float64)))
    assert np.fft.rfftfreq(heard.size, 1 / 16000)[spectrum.argmax()] == pytest.approx(440, abs=5)
    assert np.abs(heard).max() == pytest.approx(8000, rel=0.1)


@pytest.mark.parametrize(
    ("speech", "error", "text"),
    [
        (np.zeros(10, dtype=np.float32), TypeError, "expected int16 samples, got float32"),
        (np.zeros((10, 2), dtype=np.int16), ValueError, r"expected samples of shape \(n,\)"),
        (np.zeros(0, dtype=np.int16), ValueError, "got no samples"),
        (b"RIFF no wav", ValueError, "expected a 16-bit PCM WAV, got"),
        (b"", ValueError, "expected a 16-bit PCM WAV, got"),
    ],
)
async def test_speech_that_cannot_be_said_is_an_error_that_tells_why(
    speech: NDArray[np.int16] | bytes, error: type[Exception], text: str
) -> None:
    async with CallLine() as line:
        with pytest.raises(error, match=text):
            await line.say(speech)


async def test_an_eight_bit_wav_is_refused_with_the_width_that_was_found() -> None:
    eight_bit = wav(b"\x80" * 100, rate=RATE_HZ, width=1)
    async with CallLine() as line:
        with pytest.raises(ValueError, match="got 8 bits"):
            await line.say(eight_bit)


async def test_two_sentences_at_once_are_said_one_after_the_other() -> None:
    async with CallLine() as line:
        first, second = await asyncio.gather(line.say(tone(0.1)), line.say(tone(0.1)))
    assert first.ended_s is not None
    assert second.started_s >= first.ended_s
    assert line.segments == [first, second]


async def test_a_cancelled_caller_falls_silent() -> None:
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


async def test_the_agent_is_played_in_real_time_though_its_frames_come_at_once() -> None:
    async with CallLine() as line:
        await speak(line, 0.3)
        played = await line.output.wait_for_playout()
        segment = await line.agent_finished(after_s=0)
    assert played.playback_position == pytest.approx(0.3)
    assert not played.interrupted
    assert segment.ended_s is not None
    assert segment.ended_s - segment.started_s == pytest.approx(0.3, abs=0.1)
    assert loud_s(line.recording()[:, 1]) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(("rate_hz", "channels"), [(24000, 1), (48000, 1), (22050, 1), (16000, 2)])
async def test_frames_of_any_rate_and_channel_count_last_as_long_on_the_recording(
    rate_hz: int, channels: int
) -> None:
    async with CallLine() as line:
        samples = np.repeat(tone(0.2, rate_hz), channels)
        await line.output.capture_frame(frame(samples, rate_hz, channels))
        line.output.flush()
        played = await line.output.wait_for_playout()
    assert played.playback_position == pytest.approx(0.2)
    assert loud_s(line.recording()[:, 1]) == pytest.approx(0.2, abs=0.03)


async def test_a_rate_that_changes_in_the_middle_of_a_reply_loses_nothing() -> None:
    async with CallLine() as line:
        for rate_hz in (16000, 48000, 24000):
            await line.output.capture_frame(frame(tone(0.1, rate_hz), rate_hz))
        line.output.flush()
        played = await line.output.wait_for_playout()
    assert played.playback_position == pytest.approx(0.3)
    assert loud_s(line.recording()[:, 1]) == pytest.approx(0.3, abs=0.04)


async def test_clearing_stops_the_agent_and_reports_how_much_was_heard() -> None:
    async with CallLine() as line:
        await speak(line, 5)
        await line.agent_started_speaking()
        await asyncio.sleep(0.2)
        line.output.clear_buffer()
        played = await line.output.wait_for_playout()
        segment = await line.agent_finished(after_s=0)
        await asyncio.sleep(0.1)
    assert played.interrupted
    assert 0.1 < played.playback_position < 0.6
    assert segment.interrupted
    assert loud_s(line.recording()[:, 1]) == pytest.approx(played.playback_position, abs=0.03)


async def test_frames_after_a_clear_belong_to_the_reply_that_was_cut_off() -> None:
    async with CallLine() as line:
        await line.output.capture_frame(frame(tone(1, 24000), 24000))
        await line.agent_started_speaking()
        line.output.clear_buffer()
        await line.output.capture_frame(frame(tone(1, 24000), 24000))
        line.output.flush()
        assert (await line.output.wait_for_playout()).interrupted
        await speak(line, 0.1)
        assert not (await line.output.wait_for_playout()).interrupted
    assert loud_s(line.recording()[:, 1]) < 0.6


async def test_a_reply_that_was_never_heard_ends_at_position_zero_and_leaves_no_segment() -> None:
    async with CallLine() as line:
        line.output.pause()
        await speak(line, 1)
        await asyncio.sleep(0.06)
        line.output.clear_buffer()
        played = await line.output.wait_for_playout()
    assert (played.playback_position, played.interrupted) == (0, True)
    assert line.segments == []


async def test_a_paused_agent_is_silent_and_goes_on_where_it_stopped() -> None:
    async with CallLine() as line:
        await speak(line, 0.3)
        await line.agent_started_speaking()
        line.output.pause()
        await asyncio.sleep(0.2)
        line.output.resume()
        played = await line.output.wait_for_playout()
    assert played.playback_position == pytest.approx(0.3)
    assert not played.interrupted
    assert len(line.segments) == 1
    assert loud_s(line.recording()[:, 1]) == pytest.approx(0.3, abs=0.03)
    assert line.output.can_pause


async def test_livekit_hears_one_start_and_one_finish_for_each_reply() -> None:
    events: list[str] = []
    async with CallLine() as line:
        line.output.on("playback_started", lambda event: events.append("started"))
        line.output.on("playback_finished", lambda event: events.append("finished"))
        for _ in range(2):
            await speak(line, 0.06)
            await line.output.wait_for_playout()
    assert events == ["started", "finished", "started", "finished"]


async def test_a_reply_that_stutters_stays_one_segment() -> None:
    async with CallLine() as line:
        for _ in range(2):
            await line.output.capture_frame(frame(tone(0.1, 24000), 24000))
            await asyncio.sleep(0.25)
        line.output.flush()
        await line.output.wait_for_playout()
    assert len(line.segments) == 1
    assert loud_s(line.recording()[:, 1]) == pytest.approx(0.2, abs=0.03)


async def test_both_sides_lie_on_one_clock_in_the_saved_wav(tmp_path: Path) -> None:
    async with CallLine() as line:
        caller = await line.say(tone(0.2))
        await speak(line, 0.2)
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


async def test_waiting_for_a_reply_can_look_back_to_a_moment_of_the_call() -> None:
    async with CallLine() as line:
        await speak(line, 0.06)
        await line.output.wait_for_playout()
        first = await line.agent_finished(after_s=0)
        second = asyncio.create_task(line.agent_finished(after_s=line.now_s))
        await speak(line, 0.06)
        assert (await second).started_s > first.started_s
        assert await line.agent_started_speaking(after_s=0) == first


async def test_hanging_up_ends_every_wait_with_an_error_that_says_so() -> None:
    line = CallLine()
    async with line:
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


async def test_a_session_that_speaks_after_the_end_of_the_call_does_not_wait_for_ever() -> None:
    async with CallLine() as line:
        pass
    await speak(line, 1)
    played = await asyncio.wait_for(line.output.wait_for_playout(), 1)
    assert (played.playback_position, played.interrupted) == (0, True)


async def test_a_line_opens_once() -> None:
    async with CallLine() as line:
        pass
    with pytest.raises(RuntimeError, match="opens once"):
        await line.__aenter__()


async def test_a_closed_line_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    async with CallLine() as line:
        await speak(line, 1)
    assert asyncio.all_tasks() == before


async def test_frames_are_dropped_while_no_session_listens() -> None:
    async with CallLine() as line:
        await line.say(tone(0.1))
        line.input.on_attached()
        assert not np.frombuffer((await anext(line.input)).data, dtype=np.int16).any()
        line.input.on_detached()
        await line.say(tone(0.1))
    rest = [f async for f in line.input]
    assert not any(np.frombuffer(f.data, dtype=np.int16).any() for f in rest)
