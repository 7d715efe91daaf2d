"""Barge-in: a call cancelled at any turn of the loop leaves no task, connection or error."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

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
    assert_usable,
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
)
from tests.helpers.llm_calls import CALL_A
from tests.helpers.support import compressed, tone, wav
from tests.helpers.tools_calls import filled_row


@dataclass(frozen=True)
class Stage:
    """One kind of call, and the response during which it is cancelled.

    Attributes:
        route: The service's name for it.
        call: The call.
        answer: The response.
        json: Whether the service is an older one, which responds in JSON.
        threaded: Whether a thread takes part in the call.
    """

    route: str
    call: Call
    answer: Answer
    json: bool = False
    threaded: bool = False

    @property
    def fails(self) -> bool:
        return isinstance(self.answer, Refusal | Reset)

    def serve(self, gateway: LocalGateway, answer: Answer) -> None:
        """Let the gateway respond so from now on."""
        route = getattr(gateway, self.route)
        route.json_answers = self.json
        route.always(answer)


PCM = tone(0.1)
HALVES = Spread(PCM[: len(PCM) // 2], PCM[len(PCM) // 2 :])
WAV = Spread(wav(PCM)[:20], wav(PCM)[20:])
MP3 = Speech(compressed(PCM), content_type="audio/mpeg")

HEARD = Transcript("hello", interim=Spread("hel", "hello"))
SAID = Reply(Spread("Hi", " you."), tool_calls=[CALL_A])
SPOKEN = Speech(HALVES)
ROWS = ToolRows([filled_row("a"), filled_row("b")])
HEALTHY: dict[str, Answer] = {
    "transcribe": HEARD,
    "complete": SAID,
    "synthesize": SPOKEN,
    "tools": ROWS,
}
# The body goes on after its `done`: the client waits a moment for its end.
UNENDED = Held("text/event-stream", DONE.encode())
REFUSED = Refusal(500, "tired", "ALL_PROVIDERS_FAILED")

STAGES = {
    "complete": Stage("complete", complete, SAID),
    "tools": Stage("tools", list_tools, ROWS),
    "recognize": Stage("transcribe", recognize, HEARD),
    "recognize-cut": Stage("transcribe", recognize, Reset("text/event-stream", b"event: ")),
    "chat": Stage("complete", chat, SAID),
    "chat-json": Stage("complete", chat, SAID, json=True),
    "chat-refused": Stage("complete", chat, REFUSED),
    "chat-reset": Stage("complete", chat, Reset("")),
    "chat-unended": Stage("complete", chat, UNENDED),
    "chat-tools": Stage("complete", chat_with_registered_tools, SAID),
    "speak": Stage("synthesize", speak, SPOKEN),
    "speak-cut": Stage("synthesize", speak, Reset("audio/pcm;rate=24000", PCM)),
    "speak-wav": Stage("synthesize", speak, Speech(WAV, content_type="audio/wav")),
    "speak-mp3": Stage("synthesize", speak, MP3, threaded=True),
}
EACH = pytest.mark.parametrize("stage", STAGES.values(), ids=list(STAGES))


@EACH
async def test_a_call_on_an_idle_connection_can_be_cancelled_at_any_turn(
    gateway: LocalGateway, stage: Stage
) -> None:
    gateway.tools.always(ROWS)
    async with new_client(gateway.base_url) as speko:
        with nothing_reported():
            for turns in later_and_later():
                stage.serve(gateway, HEALTHY[stage.route])
                await assert_usable(speko, stage.call)
                stage.serve(gateway, stage.answer)
                if await cancel_after(
                    turns, speko, stage.call, fails=stage.fails, at_once=not stage.threaded
                ):
                    break
                await gateway.idle(connections=1, within_s=5)
    assert turns > 10, "the call was over before it could be cancelled anywhere"


@EACH
async def test_a_call_on_a_new_connection_can_be_cancelled_in_every_turn_from_any_turn(
    gateway: LocalGateway, stage: Stage
) -> None:
    """The clean-up is cancelled too, again and again."""
    gateway.tools.always(ROWS)
    with nothing_reported():
        for turns in later_and_later():
            stage.serve(gateway, stage.answer)
            async with new_client(gateway.base_url) as speko:
                over = await cancel_after(
                    turns,
                    speko,
                    stage.call,
                    every_turn=True,
                    fails=stage.fails,
                    at_once=not stage.threaded,
                )
                stage.serve(gateway, HEALTHY[stage.route])
                await assert_usable(speko, stage.call)
                await gateway.idle(connections=1, within_s=5)
            await gateway.idle(within_s=5)
            if over:
                break
    assert turns > 10, "the call was over before it could be cancelled anywhere"
