"""How long the WAV of an utterance takes to build, beside other ways to build the same bytes.

Recognition uploads an utterance as one WAV, made on the event loop: for as long as that takes, no
other session of the process hears or speaks.

    .venv/bin/python benchmarks/wav.py
"""

from __future__ import annotations

import io
import statistics
import struct
import sys
import time
import wave
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from livekit import rtc

from livekit_plugins_speko import frames_to_wav

RATE_HZ = 16_000
UTTERANCES_S = (1, 30)
FRAMES_MS = (10, 20, None)  # None is one frame for all, as LiveKit's StreamAdapter makes it

Frames: TypeAlias = list[rtc.AudioFrame]
Build: TypeAlias = Callable[[Frames], bytes]


def main() -> None:
    """Measure every utterance in every framing, and print a line for each."""
    print(f"Python {sys.version.split()[0]}, mono int16 at {RATE_HZ} Hz, median of several runs")
    names = [name for name, _ in BASELINES]
    head = ("audio", "frames", "frames_to_wav", *names)
    print("| " + " | ".join(head) + " |\n" + "| ---: " * len(head) + "|")
    for seconds in UTTERANCES_S:
        for frame_ms in FRAMES_MS:
            print("| " + " | ".join(measured(seconds, frame_ms)) + " |")


def measured(seconds: int, frame_ms: int | None) -> Iterator[str]:
    """The cells of one line: the time of `frames_to_wav`, and how much longer the others take."""
    frames = utterance(seconds, frame_ms)
    expected = frames_to_wav(frames)
    ours_s = median_s(frames_to_wav, frames)
    yield f"{seconds} s"
    yield "one" if frame_ms is None else f"{len(frames)} of {frame_ms} ms"
    yield f"{ours_s * 1e3:.3f} ms"
    for name, build in BASELINES:
        if build(frames) != expected:
            raise SystemExit(f"{name} builds other bytes")
        yield f"{median_s(build, frames) / ours_s:,.1f}x"


def utterance(seconds: int, frame_ms: int | None) -> Frames:
    """Noise of that length, in frames of that length."""
    count = seconds * RATE_HZ
    noise = np.random.default_rng(0).integers(-8000, 8000, count).astype("<i2").tobytes()
    size = 2 * (count if frame_ms is None else RATE_HZ * frame_ms // 1000)
    pieces = [noise[at : at + size] for at in range(0, len(noise), size)]
    return [rtc.AudioFrame(piece, RATE_HZ, 1, len(piece) // 2) for piece in pieces]


def median_s(build: Build, frames: Frames) -> float:
    """Seconds that one run takes, from as many as fit into 50 ms, three at least."""
    runs: list[float] = []
    while len(runs) < 3 or sum(runs) < 0.05:
        began = time.perf_counter()
        build(frames)
        runs.append(time.perf_counter() - began)
    return statistics.median(runs)


def struct_loop(frames: Frames) -> bytes:
    """Sample by sample, as a port from JavaScript does it first."""
    samples = (struct.pack("<h", sample) for frame in frames for sample in frame.data)
    return with_header(b"".join(samples))


def wave_module(frames: Frames) -> bytes:
    """The standard library's writer, frame by frame."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        for frame in frames:
            writer.writeframes(frame.data)
    return file.getvalue()


def livekit_combine(frames: Frames) -> bytes:
    """LiveKit's own helpers: one merged frame, and that frame's WAV."""
    return rtc.combine_audio_frames(frames).to_wav_bytes()


def numpy_concatenate(frames: Frames) -> bytes:
    """One array of all samples, and its bytes."""
    return with_header(np.concatenate([np.asarray(frame.data) for frame in frames]).tobytes())


def with_header(pcm: bytes) -> bytes:
    """A WAV of these samples."""
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    head = struct.pack("<4sI4s", b"RIFF", 36 + len(pcm), b"WAVE")
    return head + fmt + struct.pack("<4sI", b"data", len(pcm)) + pcm


BASELINES: tuple[tuple[str, Build], ...] = (
    ("struct per sample", struct_loop),
    ("wave", wave_module),
    ("LiveKit's combine", livekit_combine),
    ("numpy", numpy_concatenate),
)

if __name__ == "__main__":
    main()
