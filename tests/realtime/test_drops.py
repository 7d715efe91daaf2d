"""A drop in the caller's turn: the model hears it again, and its words come once."""

from __future__ import annotations

from tests.helpers.realtime_calls import (
    INTERRUPTION,
    USAGE,
    RealtimeCall,
    agent,
    calling,
    clock,
    speech,
    tool_call,
    user,
)
from tests.helpers.support import tone

WIRE_HZ = 16_000
SPOKEN = tone(0.5, rate=WIRE_HZ)
LATER = tone(0.2, rate=WIRE_HZ, hz=300)


async def speak(call: RealtimeCall, pcm: bytes = SPOKEN) -> None:
    """Let the caller speak, and wait until the service has it."""
    before = len(call.line.audio)
    call.microphone.push(pcm, rate=WIRE_HZ)
    await call.until(lambda: len(call.line.audio) >= before + len(pcm), "the audio")


async def drop(call: RealtimeCall) -> None:
    """Lose the connection, and wait for the next one."""
    connections = len(call.line.peers)
    call.line.drop()
    await call.line.connected(connections + 1)


async def heard(call: RealtimeCall, later: bytes = LATER) -> bytes:
    """What the latest connection was sent, once the caller has said something more."""
    call.microphone.push(later, rate=WIRE_HZ)
    await call.until(lambda: call.line.audio.endswith(later), "the later audio")
    return bytes(call.line.audio.removesuffix(later))


async def test_audio_without_a_reply_is_sent_again() -> None:
    async with calling() as call:
        await speak(call)
        await drop(call)
        assert await heard(call) == SPOKEN
        await drop(call)
        last = tone(0.2, rate=WIRE_HZ, hz=500)
        assert await heard(call, last) == SPOKEN + LATER


async def test_audio_with_a_reply_is_not_sent_again() -> None:
    async with calling() as call:
        await speak(call)
        await call.reply("Noon.", question="What time is it?")
        await drop(call)
        assert await heard(call) == b""


async def test_audio_that_led_to_a_tool_call_is_not_sent_again() -> None:
    async with calling(agent=clock()) as call:
        await speak(call)
        await call.line.say(user("What time is it?"), tool_call())
        await call.line.until_message("tool_result")
        await drop(call)
        assert await heard(call) == b""


async def test_audio_that_was_cleared_is_not_sent_again() -> None:
    async with calling() as call:
        await speak(call)
        call.realtime.clear_audio()
        await drop(call)
        assert await heard(call) == b""


async def test_line_that_is_open_is_final_and_only_the_rest_of_it_comes_again() -> None:
    async with calling() as call:
        await speak(call)
        await call.line.say(user("I would like", False))
        await call.until(lambda: bool(call.lines))
        await drop(call)
        assert call.finals == ["I would like"] and "Caller: I would like" in call.prompt
        assert await heard(call) == SPOKEN
        await call.line.say(user("I would", False))
        await call.reply("Gladly.", question="I would like a table.")
        assert call.finals == ["I would like", "a table."]
        assert call.history == [
            *(("user", "I would like"), ("user", "a table.")),
            ("assistant", "Gladly."),
        ]


async def test_line_that_was_lost_twice_comes_once() -> None:
    async with calling() as call:
        await speak(call)
        await call.line.say(user("I would like", False))
        await call.until(lambda: bool(call.lines))
        await drop(call)
        await call.line.say(user("I would like a", False))
        await call.until(lambda: call.lines[-1].transcript == "a")
        await drop(call)
        await call.reply("Gladly.", question="I would like a table.")
        assert call.finals == ["I would like", "a", "table."]


async def test_question_without_a_reply_is_sent_again_at_the_end_of_a_session() -> None:
    async with calling() as call:
        await speak(call)
        await call.line.say(user("Hello"))
        await call.until(lambda: bool(call.finals))
        call.realtime._upstream._link.renew()  # type: ignore[attr-defined]
        await call.line.connected(2)
        assert await heard(call) == SPOKEN


async def test_audio_of_a_silent_caller_is_bounded() -> None:
    async with calling() as call:
        for _ in range(8):
            await speak(call)
        await drop(call)
        assert len(await heard(call)) == 2 * WIRE_HZ * 2


async def test_open_line_whose_reply_began_is_final_at_the_drop() -> None:
    async with calling() as call:
        await speak(call)
        await call.line.say(user("Hello", False), speech(0.1), agent("Hi."), USAGE)
        await call.until(lambda: bool(call.lines))
        await call.until_state("speaking")
        await speak(call, LATER)
        await drop(call)
        assert call.finals == ["Hello"]


async def test_open_line_is_final_when_the_session_closes() -> None:
    async with calling() as call:
        await speak(call)
        await call.line.say(user("Goodbye", False))
        await call.until(lambda: bool(call.lines))
        await drop(call)
        await call.line.close(4401, "expired")
        await call.until(lambda: bool(call.closed))
        assert call.finals == ["Goodbye"]


async def test_line_that_was_final_is_not_repeated() -> None:
    async with calling() as call:
        await speak(call)
        await call.line.say(user("What time is it?"))
        await call.until(lambda: bool(call.finals))
        await drop(call)
        await call.line.say(INTERRUPTION, user("What time", False))
        await call.reply("Noon.", question="What time is it")
        await call.reply("One.", question="What time is it in Rome?")
        assert call.finals == ["What time is it?", "What time is it in Rome?"]
        assert call.history == [
            *(("user", "What time is it?"), ("assistant", "Noon.")),
            *(("user", "What time is it in Rome?"), ("assistant", "One.")),
        ]


async def test_words_after_a_line_that_was_final_are_a_line_of_their_own() -> None:
    async with calling() as call:
        await speak(call)
        await call.line.say(user("What time is it?"))
        await call.until(lambda: bool(call.finals))
        await drop(call)
        await call.reply("One.", question="what time is it? In Rome!")
        assert call.finals == ["What time is it?", "In Rome!"]


async def test_other_words_than_those_that_were_final_are_reported() -> None:
    async with calling() as call:
        await speak(call)
        await call.line.say(user("What time is it?"))
        await call.until(lambda: bool(call.finals))
        await drop(call)
        await call.line.say(speech(0.02), USAGE)
        await call.reply("One.", question="And in Rome?")
        assert call.finals == ["What time is it?", "And in Rome?"]
