"""The three parts of a session, put together: their calls, and closing them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from livekit.agents import APIError, tokenize, tts, vad
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT

from livekit_plugins_speko import Speko, create_speko_components
from livekit_plugins_speko.testing import Gate, LocalGateway, Speech, ToolRows
from tests.helpers.components_calls import INTENT, SPEECH, make, say, take_a_turn, think
from tests.helpers.support import conversation, tone

TWO_SENTENCES = "The first one is long enough.  The second one is long enough too."


# Sentences


def transcript(spoken: list[tts.SynthesizedAudio]) -> str:
    """Text that a session adds to its transcript while this is played."""
    return "".join(
        text for audio in spoken for text in audio.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, ())
    )


async def test_transcript_keeps_the_spaces_between_sentences(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    gateway.synthesize.always(Speech(tone()))
    spoken = await say(make(speko, voice_detector), TWO_SENTENCES)
    assert transcript(spoken) == TWO_SENTENCES
    assert [request.json["text"] for request in gateway.requests] == TWO_SENTENCES.split("  ")


async def test_custom_tokenizer_cuts_the_sentences(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    gateway.synthesize.always(Speech(tone()))
    whole = tokenize.basic.SentenceTokenizer(min_sentence_len=500, retain_format=True)
    await say(make(speko, voice_detector, sentence_tokenizer=whole), TWO_SENTENCES)
    assert [request.json["text"] for request in gateway.requests] == [TWO_SENTENCES]


# Metrics and connections


async def test_metrics_of_every_part_are_emitted(
    gateway: LocalGateway, client: Any, voice_detector: vad.VAD
) -> None:
    components = make(client, voice_detector)
    labels: list[str] = []
    for part in components:
        part.on("metrics_collected", lambda metrics: labels.append(metrics.label))
    await take_a_turn(gateway, components)
    assert labels == ["speko.STT", "speko.LLM", "speko.TTS"]


async def test_turns_of_a_call_share_one_connection(
    gateway: LocalGateway, voice_detector: vad.VAD
) -> None:
    """A new one for each request would cost every turn three handshakes."""
    connects: list[str] = []

    async def note(event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            connects.append(event)

    async def watch(request: httpx.Request) -> None:
        request.extensions = {**request.extensions, "trace": note}

    async with httpx.AsyncClient(event_hooks={"request": [watch]}) as http_client:
        speko = Speko(base_url=gateway.base_url, api_key=gateway.api_key, http_client=http_client)
        components = make(speko, voice_detector)
        for _ in range(2):
            await take_a_turn(gateway, components)
        assert len(connects) == 1


# Closing


async def test_closing_cancels_running_calls(
    gateway: LocalGateway, client: Any, voice_detector: vad.VAD
) -> None:
    gate = Gate()
    gateway.tools.script(ToolRows([gate]))
    components = make(client, voice_detector, agent_id="agent-1")
    stream = components.llm.chat(chat_ctx=conversation())
    await gate.reached()
    await stream.aclose()
    await components.aclose()
    await gateway.idle(within_s=2)  # before the fetch would give up by itself
    assert gateway.requests[0].cancelled


async def test_closing_stops_running_speech(
    gateway: LocalGateway, client: Any, voice_detector: vad.VAD
) -> None:
    gate = Gate()
    gateway.synthesize.script(Speech([tone(), gate]))
    components = make(client, voice_detector)
    spoken = components.tts.synthesize("Hi.")
    await gate.reached()
    await components.aclose()
    await gateway.idle()
    assert gateway.requests[0].cancelled
    await spoken.aclose()


async def test_closed_adapters_release_the_wrapped_parts(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    components = make(speko, voice_detector)
    collected: list[Any] = []
    components.stt.on("metrics_collected", collected.append)
    components.tts.on("metrics_collected", collected.append)
    await components.aclose()
    await take_a_turn(gateway, components)
    assert collected == []


async def test_closing_leaves_the_client_and_the_vad_open(
    gateway: LocalGateway, client: Any, voice_detector: vad.VAD
) -> None:
    await make(client, voice_detector).aclose()
    assert len(await take_a_turn(gateway, make(client, voice_detector))) == 3
    stream = voice_detector.stream()
    stream.push_frame(SPEECH)
    stream.end_input()
    assert [event async for event in stream]
    await stream.aclose()


async def test_closing_twice_is_allowed(speko: Speko, voice_detector: vad.VAD) -> None:
    """A session's shutdown callback and its `finally` may both do it."""
    components = make(speko, voice_detector)
    await components.aclose()
    await components.aclose()


async def test_own_client_is_closed_with_the_components(
    gateway: LocalGateway, voice_detector: vad.VAD, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPEKO_API_KEY", gateway.api_key)
    monkeypatch.setenv("SPEKO_BASE_URL", gateway.base_url)
    components = create_speko_components(vad=voice_detector, intent=INTENT)
    await take_a_turn(gateway, components)
    await components.aclose()
    with pytest.raises(APIError, match="The client is closed"):
        await think(components)
