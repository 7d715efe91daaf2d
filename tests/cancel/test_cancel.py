"""Barge-in: a call that is cancelled at any turn of the loop leaves nothing behind."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import (
    Answer,
    LocalGateway,
    Refusal,
    Reply,
    Speech,
    ToolRows,
    Transcript,
)
from tests.cancel.answers import DONE, Held, Reset, Spread
from tests.cancel.calls import (
    Call,
    Watch,
    assert_only_idle,
    cancel_after,
    chat,
    chat_with_registered_tools,
    complete,
    later_and_later,
    list_tools,
    new_client,
    nothing_reported,
    recognize,
    speak,
    synthesize,
    transcribe,
)
from tests.helpers.llm_calls import CALL_A
from tests.helpers.support import compressed, tone, wav
from tests.helpers.tools_calls import filled_row


@dataclass(frozen=True)
class Stage:
    """One kind of call, the answer under which it is cancelled, and one that lets it go well."""

    route: str
    call: Call
    answer: Answer
    well: Answer
    # Whether the service is an older one, which answers in JSON.
    json: bool = False
    # Whether a thread takes part in the call.
    threaded: bool = False

    def serve(self, gateway: LocalGateway, answer: Answer) -> None:
        """Let the gateway answer so from now on."""
        route = getattr(gateway, self.route)
        route.json_answers = self.json
        route.always(answer)

    async def cancel_after(self, turns: int, speko: Speko, *, every_turn: bool) -> bool:
        """As `cancel_calls.cancel_after`."""
        fails = isinstance(self.answer, Refusal | Reset)
        return await cancel_after(
            turns,
            speko,
            self.call,
            every_turn=every_turn,
            fails=fails,
            at_once=not self.threaded,
        )


PCM = tone(0.1)
HALVES = Spread(PCM[: len(PCM) // 2], PCM[len(PCM) // 2 :])
WAV = Spread(wav(PCM)[:20], wav(PCM)[20:])

HEARD = Transcript("hello", interim=Spread("hel", "hello"))
SAID = Reply(Spread("Hi", " you."), tool_calls=[CALL_A])
SPOKEN = Speech(HALVES)
REFUSED = Refusal(500, "tired", "ALL_PROVIDERS_FAILED")
# Its end is said and its body goes on: the client waits a while for the rest.
UNENDED = Held("text/event-stream", DONE.encode())
RESET = Reset("")
RESET_LATER = Reset("text/event-stream", b"event: ")
ROWS = ToolRows([filled_row("a"), filled_row("b")])

STAGES = {
    "transcribe": Stage("transcribe", transcribe, HEARD, HEARD),
    "complete": Stage("complete", complete, SAID, SAID),
    "synthesize": Stage("synthesize", synthesize, SPOKEN, SPOKEN),
    "tools": Stage("tools", list_tools, ROWS, ROWS),
    "recognize": Stage("transcribe", recognize, HEARD, HEARD),
    "recognize-json": Stage("transcribe", recognize, HEARD, HEARD, json=True),
    "recognize-refused": Stage("transcribe", recognize, REFUSED, HEARD),
    "recognize-reset": Stage("transcribe", recognize, RESET, HEARD),
    "recognize-reset-later": Stage("transcribe", recognize, RESET_LATER, HEARD),
    "chat": Stage("complete", chat, SAID, SAID),
    "chat-json": Stage("complete", chat, SAID, SAID, json=True),
    "chat-refused": Stage("complete", chat, REFUSED, SAID),
    "chat-reset": Stage("complete", chat, RESET, SAID),
    "chat-reset-later": Stage("complete", chat, RESET_LATER, SAID),
    "chat-unended": Stage("complete", chat, UNENDED, SAID),
    "chat-tools": Stage("complete", chat_with_registered_tools, SAID, SAID),
    "speak": Stage("synthesize", speak, SPOKEN, SPOKEN),
    "speak-refused": Stage("synthesize", speak, REFUSED, SPOKEN),
    "speak-reset": Stage("synthesize", speak, RESET, SPOKEN),
    "speak-reset-later": Stage("synthesize", speak, Reset("audio/pcm;rate=24000", PCM), SPOKEN),
    "speak-wav": Stage("synthesize", speak, Speech(WAV, content_type="audio/wav"), SPOKEN),
    "speak-resampled": Stage(
        "synthesize", speak, Speech(HALVES, content_type="audio/pcm;rate=16000"), SPOKEN
    ),
    "speak-mp3": Stage(
        "synthesize",
        speak,
        Speech(compressed(PCM), content_type="audio/mpeg"),
        SPOKEN,
        threaded=True,
    ),
}
EACH = pytest.mark.parametrize("stage", STAGES.values(), ids=list(STAGES))
HOW = pytest.mark.parametrize("every_turn", [False, True], ids=["once", "in_every_turn"])


@HOW
@EACH
async def test_a_call_on_an_idle_connection_can_be_cancelled_at_any_turn(
    gateway: LocalGateway, speko: Speko, stage: Stage, every_turn: bool
) -> None:
    gateway.tools.always(ROWS)
    with nothing_reported():
        for turns in later_and_later():
            stage.serve(gateway, stage.well)
            await stage.call(speko, Watch())
            stage.serve(gateway, stage.answer)
            if await stage.cancel_after(turns, speko, every_turn=every_turn):
                break
            await gateway.idle(connections=assert_only_idle(speko), within_s=1)
    assert turns > 10, "the call was over before it could be cancelled anywhere"


@HOW
@EACH
async def test_a_call_on_a_new_connection_can_be_cancelled_at_any_turn(
    gateway: LocalGateway, stage: Stage, every_turn: bool
) -> None:
    gateway.tools.always(ROWS)
    with nothing_reported():
        for turns in later_and_later():
            stage.serve(gateway, stage.answer)
            async with new_client(gateway.base_url) as speko:
                over = await stage.cancel_after(turns, speko, every_turn=every_turn)
                await gateway.idle(connections=assert_only_idle(speko), within_s=1)
                stage.serve(gateway, stage.well)
                await stage.call(speko, Watch())
            if over:
                break
    assert turns > 10, "the call was over before it could be cancelled anywhere"
