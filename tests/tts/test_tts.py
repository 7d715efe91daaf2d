"""Text-to-speech: its attributes, its options and its requests."""

from __future__ import annotations

from typing import Any

import pytest
import spekoai
from livekit.agents import tts

from livekit_plugins_speko import (
    Intent,
    PipelineConstraints,
    Speko,
    SpekoTTSChunkedStream,
    __version__,
)
from livekit_plugins_speko.testing import LocalGateway
from tests.helpers.support import NO_RETRY, errors_of
from tests.helpers.tts_calls import PCM, make_tts, speak, speech

# Attributes


def test_label_provider_model_and_capabilities(speko: Speko) -> None:
    voice = make_tts(speko)
    assert isinstance(voice, tts.TTS)
    assert (voice.label, voice.provider, voice.model) == ("speko.TTS", "speko", "speko-router")
    assert voice.capabilities == tts.TTSCapabilities(streaming=False, aligned_transcript=False)
    assert (voice.sample_rate, voice.num_channels) == (24_000, 1)


def test_sample_rate_is_the_one_set(speko: Speko) -> None:
    assert make_tts(speko, sample_rate=16_000).sample_rate == 16_000


def test_stream_error_names_the_adapter_to_use(speko: Speko) -> None:
    with pytest.raises(NotImplementedError) as raised:
        make_tts(speko).stream(conn_options=NO_RETRY)
    assert str(raised.value) == (
        "SpekoTTS speaks whole texts and has no stream(). Wrap it with "
        "tts.StreamAdapter(tts=..., sentence_tokenizer=...), or use create_speko_components(), "
        "which does so."
    )


async def test_synthesize_returns_its_own_stream(gateway: LocalGateway, speko: Speko) -> None:
    gateway.synthesize.script(speech())
    async with make_tts(speko).synthesize("Hello.") as stream:
        assert isinstance(stream, SpekoTTSChunkedStream)
        assert stream.input_text == "Hello."
        assert bytes((await stream.collect()).data) == PCM


# The constructor


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"intent": {}}, "SpekoAdapter: intent.language is required (BCP-47 tag)"),
        ({"intent": Intent("  ")}, "SpekoAdapter: intent.language is required (BCP-47 tag)"),
        (
            {"intent": {"language": "en", "optimize_for": "speed"}},
            'SpekoAdapter: unknown optimize_for "speed". '
            "Expected one of: balanced, accuracy, latency, cost.",
        ),
        (
            {"intent": {"language": "en", "voice": "x"}},
            'SpekoAdapter: unknown intent key "voice". Expected: language, region, optimize_for.',
        ),
        (
            {"constraints": {"providers": {}}},
            'SpekoAdapter: unknown constraints key "providers". Expected: allowed_providers, as in '
            '{"allowed_providers": {"stt": ["deepgram"]}}.',
        ),
        ({"voice": 3}, "SpekoTTS: voice must be a string, got int."),
        ({"instructions": ["slow"]}, "SpekoTTS: instructions must be a string, got list."),
        ({"session_id": 3}, "SpekoTTS: session_id must be a string, got int."),
        ({"session_id": "ü"}, "SpekoTTS: session_id must be printable ASCII, got 'ü'."),
        ({"speed": 0}, "SpekoTTS: speed must be a number from 0.5 to 2, got 0."),
        ({"speed": 0.0}, "SpekoTTS: speed must be a number from 0.5 to 2, got 0.0."),
        ({"speed": -1}, "SpekoTTS: speed must be a number from 0.5 to 2, got -1."),
        ({"speed": True}, "SpekoTTS: speed must be a number from 0.5 to 2, got True."),
        ({"speed": "1"}, "SpekoTTS: speed must be a number from 0.5 to 2, got '1'."),
        ({"speed": float("nan")}, "SpekoTTS: speed must be a number from 0.5 to 2, got nan."),
        ({"speed": float("inf")}, "SpekoTTS: speed must be a number from 0.5 to 2, got inf."),
    ],
)
def test_invalid_options_are_refused(speko: Speko, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError) as raised:
        make_tts(speko, **options)
    assert str(raised.value) == text


@pytest.mark.parametrize("rate", [0, -1, 1, 999, 24_000.0, "24000", True, None])
def test_unplayable_sample_rate_is_refused(speko: Speko, rate: Any) -> None:
    with pytest.raises(ValueError, match=r"^SpekoTTS: sample_rate must be .*, got "):
        make_tts(speko, sample_rate=rate)


def test_synchronous_client_is_refused_with_a_remedy() -> None:
    with spekoai.Speko(api_key="k") as client, pytest.raises(TypeError) as raised:
        make_tts(client)
    assert str(raised.value) == (
        "SpekoTTS: speko must be an async client, got the synchronous Speko. "
        "Use Speko, or AsyncSpeko of the official SDK."
    )


def test_any_other_client_is_refused_by_type() -> None:
    with pytest.raises(TypeError) as raised:
        make_tts("sk-key")
    assert str(raised.value) == (
        "SpekoTTS: speko must be a client such as Speko(api_key=...), got str, "
        "which has no transcribe()."
    )


# Requests


async def test_only_text_and_intent_are_sent_without_options(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.synthesize.script(speech())
    await speak(make_tts(client), "Hello there.")
    (request,) = gateway.requests
    assert (request.method, request.path) == ("POST", "/v1/synthesize")
    assert request.json == {"text": "Hello there.", "intent": {"language": "en-US"}}
    assert request.session_id is None


@pytest.mark.parametrize(
    ("option", "wire"),
    [
        ({"voice": "aria"}, {"voice": "aria"}),
        ({"speed": 1.25}, {"speed": 1.25}),
        ({"instructions": "Calmly."}, {"instructions": "Calmly."}),
        ({"instructions": " ", "voice": ""}, {}),
        ({"spoken_form": True}, {"spokenForm": True}),
        ({"spoken_form": False}, {"spokenForm": False}),
        (
            {"constraints": PipelineConstraints({"tts": ["acme:acme-2"], "stt": ["ears"]})},
            {"constraints": {"allowedProviders": {"tts": ["acme:acme-2"], "stt": ["ears"]}}},
        ),
        (
            {"constraints": {"allowedProviders": {"tts": ["acme"]}}},
            {"constraints": {"allowedProviders": {"tts": ["acme"]}}},
        ),
        (
            {"intent": Intent("es-MX", "us-east4", "latency")},
            {"intent": {"language": "es-MX", "region": "us-east4", "optimizeFor": "latency"}},
        ),
        (
            {"intent": {"language": "en", "optimizeFor": "cost"}},
            {"intent": {"language": "en", "optimizeFor": "cost"}},
        ),
        ({"sample_rate": 24_000, "convert_audio": True}, {}),
    ],
)
async def test_each_option_is_sent_under_its_name(
    gateway: LocalGateway, speko: Speko, option: dict[str, Any], wire: dict[str, Any]
) -> None:
    gateway.synthesize.script(speech())
    await speak(make_tts(speko, **option))
    expected = {"text": "Hello there.", "intent": {"language": "en-US"}, **wire}
    assert gateway.requests[0].json == expected


async def test_both_clients_send_every_option(gateway: LocalGateway, client: Any) -> None:
    gateway.synthesize.script(speech())
    voice = make_tts(
        client,
        intent=Intent("es-MX", "us-east4", "latency"),
        voice="aria",
        speed=1.25,
        instructions="Calmly.",
        constraints=PipelineConstraints({"tts": ["acme"]}),
        session_id="s-1",
        spoken_form=False,
    )
    await speak(voice, "Hola.")
    (request,) = gateway.requests
    assert request.json == {
        "text": "Hola.",
        "intent": {"language": "es-MX", "region": "us-east4", "optimizeFor": "latency"},
        "voice": "aria",
        "speed": 1.25,
        "instructions": "Calmly.",
        "spokenForm": False,
        "constraints": {"allowedProviders": {"tts": ["acme"]}},
    }
    assert request.session_id == "s-1"


@pytest.mark.parametrize("text", ["Grüße — 12 €\u2028🙂", "  spaced \n", 'a "quoted" \\ text', "5"])
async def test_text_is_sent_unchanged(gateway: LocalGateway, speko: Speko, text: str) -> None:
    gateway.synthesize.script(speech())
    await speak(make_tts(speko), text)
    assert gateway.requests[0].json["text"] == text


@pytest.mark.parametrize(("session_id", "sent"), [("s-1", "s-1"), (" s-2 ", "s-2"), ("  ", None)])
async def test_session_id_is_sent_unless_blank(
    gateway: LocalGateway, speko: Speko, session_id: str, sent: str | None
) -> None:
    gateway.synthesize.script(speech())
    await speak(make_tts(speko, session_id=session_id))
    (request,) = gateway.requests
    assert request.session_id == sent
    assert request.headers["User-Agent"] == f"livekit-plugins-speko/{__version__}"


async def test_arguments_are_copied_and_not_changed(gateway: LocalGateway, speko: Speko) -> None:
    intent, constraints = {"language": "en"}, {"allowedProviders": {"tts": ["acme"]}}
    voice = make_tts(speko, intent=intent, constraints=constraints)
    assert (intent, constraints) == (
        {"language": "en"},
        {"allowedProviders": {"tts": ["acme"]}},
    )
    intent["language"] = "de"
    constraints["allowedProviders"]["tts"].append("other")
    gateway.synthesize.script(speech())
    await speak(voice)
    assert gateway.requests[0].intent == {"language": "en"}
    assert gateway.requests[0].constraints == {"allowedProviders": {"tts": ["acme"]}}


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "!", ".)", "」", "...", "🙂", "♪"])
async def test_text_without_speech_makes_no_request(
    gateway: LocalGateway, speko: Speko, text: str
) -> None:
    voice = make_tts(speko)
    errors = errors_of(voice)
    spoken = await speak(voice, text)
    assert sum(event.frame.duration for event in spoken) <= 0.011
    assert not any(b"".join(bytes(event.frame.data) for event in spoken))
    assert (gateway.requests, errors) == ([], [])


@pytest.mark.parametrize("flag", ["convert_audio"])
def test_flag_must_be_a_bool(speko: Speko, flag: str) -> None:
    options: dict[str, Any] = {flag: "no"}
    with pytest.raises(ValueError, match=f"^SpekoTTS: {flag} must be True or False, got 'no'"):
        make_tts(speko, **options)
