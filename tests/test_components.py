"""The three parts of a session, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import spekoai
from livekit.agents import stt, tokenize, tts, vad
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT
from livekit.plugins import silero

from livekit_plugins_speko import (
    PipelineConstraints,
    Speko,
    SpekoAdapterError,
    SpekoComponents,
    SpekoLLM,
    SpekoSTT,
    SpekoTTS,
    create_speko_components,
)
from livekit_plugins_speko.testing import (
    Gate,
    GatewayRequest,
    LocalGateway,
    Refusal,
    Reply,
    Speech,
    ToolRows,
    Transcript,
)

from .support import NO_RETRY, cause, conversation, frame, tone

INTENT = {"language": "en-US", "region": "global", "optimizeFor": "latency"}
SPEECH = frame(tone(rate=16_000))
TWO_SENTENCES = "The first one is long enough.  The second one is long enough too."


@pytest.fixture(scope="module")
def voice_detector() -> vad.VAD:
    """Silero's VAD, loaded once."""
    return silero.VAD.load()


@pytest.fixture(params=["Speko", "AsyncSpeko"])
async def client(request: pytest.FixtureRequest, gateway: LocalGateway) -> AsyncIterator[Any]:
    """Each of the clients that an adapter takes."""
    clients: dict[str, Any] = {"Speko": Speko, "AsyncSpeko": spekoai.AsyncSpeko}
    make = clients[request.param]
    async with make(api_key=gateway.api_key, base_url=gateway.base_url) as client:
        yield client


def make(speko: Any, voice_detector: vad.VAD, **options: Any) -> SpekoComponents:
    return create_speko_components(
        **{"speko": speko, "vad": voice_detector, "intent": INTENT, **options}
    )


async def say(components: SpekoComponents, text: str = "Hi.") -> list[tts.SynthesizedAudio]:
    """The audio of a text, through the sentence tokenizer."""
    async with components.tts.stream(conn_options=NO_RETRY) as stream:
        stream.push_text(text)
        stream.end_input()
        return [audio async for audio in stream]


async def think(components: SpekoComponents) -> None:
    stream = components.llm.chat(chat_ctx=conversation(), conn_options=NO_RETRY)
    async with stream:
        assert [chunk async for chunk in stream]


async def take_a_turn(gateway: LocalGateway, components: SpekoComponents) -> list[GatewayRequest]:
    """The requests of one turn: transcribe, complete, synthesize."""
    began = len(gateway.requests)
    gateway.transcribe.script(Transcript("hello"))
    gateway.complete.script(Reply("Hi."))
    gateway.synthesize.script(Speech(tone()))
    await components.stt.wrapped_stt.recognize(SPEECH, conn_options=NO_RETRY)
    await think(components)
    await say(components)
    return [r for r in gateway.requests[began:] if r.route != "tools"]


def test_the_parts_can_be_named_and_unpacked(speko: Speko, voice_detector: vad.VAD) -> None:
    components = make(speko, voice_detector)
    recognizer, model, speaker = components
    assert components == (components.stt, components.llm, components.tts)
    assert (recognizer, model, speaker) == components
    assert isinstance(components, SpekoComponents)


def test_each_part_is_what_a_session_takes(speko: Speko, voice_detector: vad.VAD) -> None:
    components = make(speko, voice_detector)
    assert isinstance(components.stt, stt.StreamAdapter)
    assert isinstance(components.stt.wrapped_stt, SpekoSTT)
    assert components.stt.capabilities.streaming
    assert isinstance(components.llm, SpekoLLM)
    assert isinstance(components.tts, tts.StreamAdapter)
    assert isinstance(components.tts._wrapped_tts, SpekoTTS)
    assert components.tts.capabilities.streaming
    assert (components.tts.sample_rate, components.tts.num_channels) == (24_000, 1)


async def test_without_options_the_calls_carry_the_intent_alone(
    gateway: LocalGateway, client: Any, voice_detector: vad.VAD
) -> None:
    transcribe, complete, synthesize = await take_a_turn(gateway, make(client, voice_detector))
    assert [r.intent for r in (transcribe, complete, synthesize)] == [INTENT] * 3
    assert (transcribe.stt_options, transcribe.constraints) == (None, None)
    assert sorted(complete.json) == ["intent", "messages"]
    assert synthesize.json == {"text": "Hi.", "intent": INTENT}
    assert [r.session_id for r in (transcribe, complete, synthesize)] == [None] * 3


async def test_each_option_reaches_its_part(
    gateway: LocalGateway, client: Any, voice_detector: vad.VAD
) -> None:
    lookup = {"name": "lookup", "description": "Look up.", "parameters": {"type": "object"}}
    components = make(
        client,
        voice_detector,
        voice="joe",
        session_id="session-1",
        llm={"temperature": 0, "max_tokens": 80, "tools": [lookup]},
        tts_options={"speed": 1.5, "instructions": "Whisper.", "spoken_form": False},
        stt_options={"keywords": ["Speko"], "language": "en-GB"},
    )
    transcribe, complete, synthesize = await take_a_turn(gateway, components)
    assert transcribe.stt_options == {"keywords": ["Speko"], "language": "en-GB"}
    assert (complete.json["temperature"], complete.json["maxTokens"]) == (0, 80)
    assert complete.json["tools"] == [lookup]
    assert synthesize.json == {
        "text": "Hi.",
        "intent": INTENT,
        "voice": "joe",
        "speed": 1.5,
        "instructions": "Whisper.",
        "spokenForm": False,
    }
    assert [r.session_id for r in (transcribe, complete, synthesize)] == ["session-1"] * 3


async def test_the_sample_rate_is_the_one_that_was_asked_for(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    components = make(speko, voice_detector, tts_options={"sample_rate": 48_000})
    gateway.synthesize.script(Speech(tone(rate=48_000), content_type="audio/pcm;rate=48000"))
    assert components.tts.sample_rate == 48_000
    assert {audio.frame.sample_rate for audio in await say(components)} == {48_000}


async def test_audio_of_another_rate_is_converted_only_when_asked_for(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    gateway.synthesize.always(Speech(tone(rate=16_000), content_type="audio/pcm;rate=16000"))
    with pytest.raises(Exception, match="16000 Hz") as raised:
        await say(make(speko, voice_detector))
    assert isinstance(cause(raised.value), SpekoAdapterError)
    components = make(speko, voice_detector, tts_options={"convert_audio": True})
    assert {audio.frame.sample_rate for audio in await say(components)} == {24_000}


@pytest.mark.parametrize(
    "constraints",
    [
        {"allowedProviders": {"stt": ["deepgram"], "llm": ["openai:gpt-5"], "tts": ["cartesia"]}},
        PipelineConstraints(
            {"stt": ["deepgram"], "llm": ["openai:gpt-5"], "tts": ["cartesia"]},
        ),
    ],
    ids=["mapping", "PipelineConstraints"],
)
async def test_every_call_gets_the_same_constraints(
    gateway: LocalGateway, client: Any, voice_detector: vad.VAD, constraints: Any
) -> None:
    requests = await take_a_turn(gateway, make(client, voice_detector, constraints=constraints))
    allowed = {"stt": ["deepgram"], "llm": ["openai:gpt-5"], "tts": ["cartesia"]}
    assert [r.constraints for r in requests] == [{"allowedProviders": allowed}] * 3


async def test_registered_tools_take_part(
    gateway: LocalGateway, client: Any, voice_detector: vad.VAD
) -> None:
    tool = {"name": "book", "description": "Book.", "parameters": {"type": "object"}}
    gateway.register_tools("agent-1", [tool])
    _, complete, _ = await take_a_turn(gateway, make(client, voice_detector, agent_id="agent-1"))
    assert [each["name"] for each in complete.json["tools"]] == ["book"]


async def test_a_failed_fetch_of_registered_tools_is_told(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    gateway.tools.script(Refusal(500, "tired"))
    failures: list[Exception] = []
    components = make(
        speko, voice_detector, agent_id="agent-1", on_registered_tools_error=failures.append
    )
    await take_a_turn(gateway, components)
    assert len(failures) == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"llm": {"top_p": 1}},
            'create_speko_components: unknown option "top_p" in llm. '
            "Expected: temperature, max_tokens, tools.",
        ),
        (
            {"tts_options": {"voice": "joe"}},
            'create_speko_components: unknown option "voice" in tts_options. '
            "Expected: sample_rate, speed, instructions, spoken_form, convert_audio.",
        ),
        (
            {"stt_options": {"stt_language": "en"}},
            'create_speko_components: unknown option "stt_language" in stt_options. '
            "Expected: keywords, language.",
        ),
        ({"intent": {}}, "SpekoAdapter: intent.language is required (BCP-47 tag)"),
        ({"constraints": {"allowed": {}}}, '"allowed"'),
        ({"llm": {"max_tokens": 0}}, "SpekoLLM: max_tokens must be a whole number"),
        ({"tts_options": {"speed": 0}}, "SpekoTTS: speed must be a number above 0, got 0."),
        ({"stt_options": {"keywords": "Speko"}}, "SpekoSTT: keywords must be a list of words"),
        ({"stt_options": {"language": 7}}, "SpekoSTT: stt_language must be a string"),
        ({"session_id": 7}, "session_id must be a string, got int."),
        ({"agent_id": " "}, "agent_id must be the id of an agent"),
    ],
)
def test_an_option_that_cannot_be_used_is_an_error_at_once(
    speko: Speko, voice_detector: vad.VAD, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError) as raised:
        make(speko, voice_detector, **options)
    assert text in str(raised.value)


@pytest.mark.parametrize("thing", [None, "silero", silero.VAD])
def test_the_vad_must_be_one(speko: Speko, thing: Any) -> None:
    with pytest.raises(TypeError) as raised:
        make(speko, thing)
    assert str(raised.value) == (
        "create_speko_components: vad must be a VAD such as silero.VAD.load(), got "
        f"{type(thing).__name__}."
    )


@pytest.mark.parametrize("thing", [None, "key"])
def test_the_client_must_be_one(voice_detector: vad.VAD, thing: Any) -> None:
    with pytest.raises(TypeError, match=f"got {type(thing).__name__}"):
        make(thing, voice_detector)


def test_the_synchronous_client_is_refused_by_name(voice_detector: vad.VAD) -> None:
    with (
        spekoai.Speko(api_key="key") as client,
        pytest.raises(TypeError, match="got the synchronous Speko"),
    ):
        make(client, voice_detector)


def test_the_callers_mappings_are_not_changed(speko: Speko, voice_detector: vad.VAD) -> None:
    options: dict[str, Any] = {
        "intent": dict(INTENT),
        "llm": {"temperature": 0.5},
        "tts_options": {"speed": 1.5},
        "stt_options": {"language": "en-GB", "keywords": ["Speko"]},
    }
    make(speko, voice_detector, **options)
    assert options == {
        "intent": INTENT,
        "llm": {"temperature": 0.5},
        "tts_options": {"speed": 1.5},
        "stt_options": {"language": "en-GB", "keywords": ["Speko"]},
    }


@pytest.mark.parametrize("option", ["api_base_url", "api_key"])
def test_an_option_of_the_typescript_package_warns_on_the_callers_line(
    speko: Speko, voice_detector: vad.VAD, option: str
) -> None:
    """Python shows deprecations only where the caller's own code causes them."""
    options: dict[str, Any] = {option: "http://127.0.0.1:9"}
    with pytest.warns(DeprecationWarning, match=f"{option} is ignored") as caught:
        create_speko_components(speko=speko, vad=voice_detector, intent=INTENT, **options)
    assert [warning.filename for warning in caught] == [__file__]


def transcript(spoken: list[tts.SynthesizedAudio]) -> str:
    """What a session writes into its transcript while this is played."""
    return "".join(
        text for audio in spoken for text in audio.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, ())
    )


async def test_the_transcript_keeps_the_spaces_between_sentences(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    gateway.synthesize.always(Speech(tone()))
    spoken = await say(make(speko, voice_detector), TWO_SENTENCES)
    assert transcript(spoken) == TWO_SENTENCES
    assert [request.json["text"] for request in gateway.requests] == TWO_SENTENCES.split("  ")


async def test_a_tokenizer_of_ones_own_cuts_the_sentences(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    gateway.synthesize.always(Speech(tone()))
    whole = tokenize.basic.SentenceTokenizer(min_sentence_len=500, retain_format=True)
    await say(make(speko, voice_detector, sentence_tokenizer=whole), TWO_SENTENCES)
    assert [request.json["text"] for request in gateway.requests] == [TWO_SENTENCES]


async def test_metrics_of_every_part_come_out(
    gateway: LocalGateway, client: Any, voice_detector: vad.VAD
) -> None:
    components = make(client, voice_detector)
    labels: list[str] = []
    for part in components:
        part.on("metrics_collected", lambda metrics: labels.append(metrics.label))
    await take_a_turn(gateway, components)
    assert labels == ["speko.STT", "speko.LLM", "speko.TTS"]


async def test_closing_stops_what_the_parts_still_do(
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


async def test_closing_stops_what_is_being_spoken(
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


async def test_closed_adapters_let_go_of_what_they_wrap(
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


async def test_closing_twice_is_no_error(speko: Speko, voice_detector: vad.VAD) -> None:
    """A session's shutdown callback and its `finally` may both do it."""
    components = make(speko, voice_detector)
    await components.aclose()
    await components.aclose()


async def test_the_turns_of_a_call_share_one_connection(
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
