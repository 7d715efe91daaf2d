"""The matrix of faults: streaming recognition. Every word comes once, or an error is raised."""

from __future__ import annotations

import asyncio

import pytest

from livekit_plugins_speko import Speko, SpekoSTT
from livekit_plugins_speko.testing import (
    CloseSocket,
    Hang,
    LocalGateway,
    Refusal,
    StreamedTranscript,
)
from tests.faults.recognition import (
    BETWEEN_WORDS,
    HEALTHY,
    QUICK,
    ROWS,
    SPOKEN,
    StreamRow,
    check,
    fails,
)
from tests.faults.rows import each
from tests.faults.table import Record
from tests.helpers.stt_server import frames_of
from tests.helpers.support import frame


@each(ROWS)
async def test_fault_ends_as_its_row_says(row: StreamRow, record: Record) -> None:
    record(await check(row))


@pytest.mark.parametrize(
    "answer",
    [
        HEALTHY,
        Refusal(503, "no", "UNAVAILABLE"),
        StreamedTranscript(route=None),
        fails(Hang()),
        fails(Hang(), BETWEEN_WORDS),
        fails(CloseSocket(1011), BETWEEN_WORDS),
        fails(Hang(), "flush"),
        fails(Hang(), "end"),
    ],
    ids=["healthy", "refused", "no ready", "silent", "in mid-word", "dropped", "flush", "end"],
)
@pytest.mark.parametrize("ends", [False, True])
async def test_caller_who_leaves_leaves_nothing_open(
    gateway: LocalGateway, speko: Speko, answer: StreamedTranscript, ends: bool
) -> None:
    gateway.transcribe_stream.always(answer)
    recognizer = SpekoSTT(speko=speko, intent={"language": "en"}, streaming=True)
    recognizer._bounds = QUICK
    async with recognizer.stream() as stream:
        for piece in frames_of(SPOKEN):
            stream.push_frame(frame(piece))
        stream.flush()
        if ends:
            stream.end_input()
        await gateway.arrived("transcribe_stream")
        await asyncio.sleep(0.05)
    await gateway.idle()
