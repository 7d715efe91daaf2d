"""Text-to-speech, through LiveKit's own base class and real sockets."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import spekoai
from livekit.agents import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    metrics,
    tts,
)
from livekit.agents.types import APIConnectOptions

from livekit_plugins_speko import (
    Intent,
    PipelineConstraints,
    Speko,
    SpekoAdapterError,
    SpekoApiError,
    SpekoAuthError,
    SpekoRateLimitError,
    SpekoTTS,
    SpekoTTSChunkedStream,
    __version__,
)
from livekit_plugins_speko.testing import (
    Answer,
    Gate,
    GatewayRequest,
    Latency,
    LocalGateway,
    ProviderRoute,
    Refusal,
    Speech,
)

from .raw_server import RawServer, answer
from .support import NO_RETRY, QUICK_RETRY, tone, wav
from .test_decoding import compressed, pitch, shown, streamed

PCM = tone(0.5)
IMPATIENT = APIConnectOptions(max_retry=0, timeout=0.15)
ACME = ProviderRoute("acme", "acme-2", failover_count=1, scores_run_id="run-7")

MISMATCH = (
    "SpekoTTS: provider returned audio at 16000 Hz but the TTS was configured for 24000 Hz. "
    "Either set sample_rate=16000 on SpekoTTS, pin the Speko router to a provider that matches "
    "the expected rate, or pass convert_audio=True."
)
STEREO = (
    "SpekoTTS: expected mono audio (1 channel), got 2 channels. Pin the Speko router to a "
    "provider that sends mono, or pass convert_audio=True."
)
COMPRESSED = (
    "SpekoTTS: acme returned audio/mpeg, which is played only after decoding. Pass "
    "convert_audio=True, or pin the Speko router to a provider that sends PCM."
)
UNKNOWN_TYPE = (
    "SpekoTTS: acme returned text/html, which is no audio that SpekoTTS knows. Pin the Speko "
    "router to another provider (constraints={'allowedProviders': {'tts': [...]}})."
)
EMPTY = "SpekoTTS: provider returned empty audio"


def make_tts(speko: Any, **options: Any) -> SpekoTTS:
    return SpekoTTS(**{"speko": speko, "intent": Intent("en-US"), **options})


def speech(audio: Any = PCM, content_type: str = "audio/pcm;rate=24000", **options: Any) -> Speech:
    return Speech(audio, content_type=content_type, route=ACME, **options)


async def speak(
    voice: SpekoTTS, text: str = "Hello there.", *, conn_options: APIConnectOptions = NO_RETRY
) -> list[tts.SynthesizedAudio]:
    """All that is heard. A call that never ends fails, and does not hang the run."""

    async def call() -> list[tts.SynthesizedAudio]:
        async with voice.synthesize(text, conn_options=conn_options) as stream:
            return [event async for event in stream]

    return await asyncio.wait_for(call(), 10)


def joined(events: list[tts.SynthesizedAudio]) -> bytes:
    return b"".join(bytes(event.frame.data) for event in events)


async def first_bytes(stream: tts.ChunkedStream, size: int) -> bytes:
    """As many bytes as have to come while the gateway is held."""
    heard = b""
    while len(heard) < size:
        heard += bytes((await asyncio.wait_for(anext(stream), 5)).frame.data)
    return heard


def errors_of(voice: SpekoTTS) -> list[tts.TTSError]:
    """The error events of a TTS, as they come."""
    errors: list[tts.TTSError] = []
    voice.on("error", errors.append)
    return errors


def adapter_error(error: BaseException) -> tuple[str, str]:
    """The text of an error, and the code of the Speko error that caused it."""
    assert type(error) is APIError
    assert isinstance(error.__cause__, SpekoAdapterError)
    return str(error), error.__cause__.code


async def assert_given_up(
    gateway: LocalGateway, voice: SpekoTTS, answered: Answer | None = None
) -> APIError:
    """The call fails at the first try; return its error."""
    if answered is not None:
        gateway.synthesize.script(answered)
    errors, before = errors_of(voice), len(gateway.requests)
    with pytest.raises(APIError) as raised:
        await speak(voice, conn_options=QUICK_RETRY)
    assert len(gateway.requests) == before + 1
    assert [(event.error, event.recoverable) for event in errors] == [(raised.value, False)]
    assert not raised.value.retryable
    return raised.value


async def assert_retried(gateway: LocalGateway, voice: SpekoTTS, answered: Answer) -> APIError:
    """The first try fails, and with the second all is heard once; return the first one's error."""
    gateway.synthesize.script(answered, speech())
    errors = errors_of(voice)
    events = await speak(voice, conn_options=QUICK_RETRY)
    assert joined(events) == PCM
    assert len(gateway.requests) == 2
    (event,) = errors
    assert event.recoverable
    assert isinstance(event.error, APIError)
    assert event.error.retryable
    return event.error


def held_engine(gate: Gate) -> Any:
    """An engine that holds the headers back."""

    async def engine(request: GatewayRequest, /) -> Answer:
        await gate.hold()
        return speech()

    return engine


@pytest.fixture(params=["Speko", "AsyncSpeko"])
async def client(request: pytest.FixtureRequest, gateway: LocalGateway) -> AsyncIterator[Any]:
    """Each of the clients that an adapter takes."""
    kinds: dict[str, Any] = {"Speko": Speko, "AsyncSpeko": spekoai.AsyncSpeko}
    kind = kinds[request.param]
    async with kind(api_key=gateway.api_key, base_url=gateway.base_url) as client:
        yield client


# What it is


def test_it_says_what_it_is_and_what_it_can_do(speko: Speko) -> None:
    voice = make_tts(speko)
    assert isinstance(voice, tts.TTS)
    assert (voice.label, voice.provider, voice.model) == ("speko.TTS", "speko", "speko-router")
    assert voice.capabilities == tts.TTSCapabilities(streaming=False, aligned_transcript=False)
    assert (voice.sample_rate, voice.num_channels) == (24_000, 1)


def test_the_sample_rate_is_the_one_asked_for(speko: Speko) -> None:
    assert make_tts(speko, sample_rate=16_000).sample_rate == 16_000


def test_stream_names_what_to_use_instead(speko: Speko) -> None:
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
            'SpekoAdapter: unknown constraints key "providers". Expected: allowed_providers.',
        ),
        ({"voice": 3}, "SpekoTTS: voice must be a string, got int."),
        ({"instructions": ["slow"]}, "SpekoTTS: instructions must be a string, got list."),
        ({"session_id": 3}, "SpekoTTS: session_id must be a string, got int."),
        ({"session_id": "ü"}, "SpekoTTS: session_id must be printable ASCII, got 'ü'."),
        ({"speed": 0}, "SpekoTTS: speed must be a number above 0, got 0."),
        ({"speed": 0.0}, "SpekoTTS: speed must be a number above 0, got 0.0."),
        ({"speed": -1}, "SpekoTTS: speed must be a number above 0, got -1."),
        ({"speed": True}, "SpekoTTS: speed must be a number above 0, got True."),
        ({"speed": "1"}, "SpekoTTS: speed must be a number above 0, got '1'."),
        ({"speed": float("nan")}, "SpekoTTS: speed must be a number above 0, got nan."),
        ({"speed": float("inf")}, "SpekoTTS: speed must be a number above 0, got inf."),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    speko: Speko, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError) as raised:
        make_tts(speko, **options)
    assert str(raised.value) == text


@pytest.mark.parametrize("rate", [0, -1, 1, 999, 24_000.0, "24000", True, None])
def test_a_sample_rate_that_cannot_be_played_is_refused(speko: Speko, rate: Any) -> None:
    with pytest.raises(ValueError, match=r"^SpekoTTS: sample_rate must be .*, got "):
        make_tts(speko, sample_rate=rate)


def test_a_synchronous_client_is_refused_with_what_to_use() -> None:
    with spekoai.Speko(api_key="k") as client, pytest.raises(TypeError) as raised:
        make_tts(client)
    assert str(raised.value) == (
        "SpekoTTS: speko must be an async client, got the synchronous Speko. "
        "Use Speko, or AsyncSpeko of the official SDK."
    )


def test_what_is_no_client_is_refused_by_its_type() -> None:
    with pytest.raises(TypeError) as raised:
        make_tts("sk-key")
    assert str(raised.value) == (
        "SpekoTTS: speko must be a client such as Speko(api_key=...), got str, "
        "which has no transcribe()."
    )


# What goes out


async def test_without_options_only_text_and_intent_go_out(
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
        ({"instructions": ""}, {"instructions": ""}),
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
async def test_each_option_goes_out_under_its_own_name(
    gateway: LocalGateway, speko: Speko, option: dict[str, Any], wire: dict[str, Any]
) -> None:
    gateway.synthesize.script(speech())
    await speak(make_tts(speko, **option))
    expected = {"text": "Hello there.", "intent": {"language": "en-US"}, **wire}
    assert gateway.requests[0].json == expected


async def test_every_option_goes_out_with_either_client(gateway: LocalGateway, client: Any) -> None:
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


@pytest.mark.parametrize("text", ["Grüße — 12 €\u2028🙂", "  spaced \n", 'a "quoted" \\ text', "."])
async def test_the_text_goes_out_as_it_is(gateway: LocalGateway, speko: Speko, text: str) -> None:
    gateway.synthesize.script(speech())
    await speak(make_tts(speko), text)
    assert gateway.requests[0].json["text"] == text


@pytest.mark.parametrize(("session_id", "sent"), [("s-1", "s-1"), (" s-2 ", "s-2"), ("  ", None)])
async def test_the_session_is_named_unless_it_is_blank(
    gateway: LocalGateway, speko: Speko, session_id: str, sent: str | None
) -> None:
    gateway.synthesize.script(speech())
    await speak(make_tts(speko, session_id=session_id))
    (request,) = gateway.requests
    assert request.session_id == sent
    assert request.headers["User-Agent"] == f"livekit-plugins-speko/{__version__}"


async def test_what_a_caller_handed_in_is_copied_and_not_changed(
    gateway: LocalGateway, speko: Speko
) -> None:
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


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
async def test_blank_text_makes_no_request(gateway: LocalGateway, speko: Speko, text: str) -> None:
    voice = make_tts(speko)
    errors = errors_of(voice)
    assert await speak(voice, text) == []
    assert (gateway.requests, errors) == ([], [])


# What is heard


@pytest.mark.parametrize("convert_audio", [False, True])
@pytest.mark.parametrize(
    ("audio", "content_type"),
    [
        (PCM, "audio/pcm;rate=24000"),
        (PCM, "Audio/PCM; Rate=24000"),
        (PCM, "audio/pcm"),
        (PCM + b"\1", "audio/pcm;rate=24000"),
        (wav(PCM), "audio/wav"),
        (wav(PCM), "audio/x-wav"),
        (streamed(wav(PCM), 0), "audio/wav"),
        (streamed(wav(PCM), 0xFFFFFFFF), "audio/wav"),
    ],
    ids=shown,
)
async def test_mono_audio_at_its_rate_is_played_byte_for_byte(
    gateway: LocalGateway, speko: Speko, audio: bytes, content_type: str, convert_audio: bool
) -> None:
    gateway.synthesize.script(speech(audio, content_type, chunk_bytes=777))
    events = await speak(make_tts(speko, convert_audio=convert_audio))
    assert joined(events) == PCM


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
async def test_frames_are_20_ms_at_most_and_the_last_one_is_final(
    gateway: LocalGateway, speko: Speko, rate: int
) -> None:
    pcm = tone(0.3, rate=rate)
    gateway.synthesize.script(speech(pcm, f"audio/pcm;rate={rate}"))
    events = await speak(make_tts(speko, sample_rate=rate))
    assert joined(events) == pcm
    assert max(event.frame.duration for event in events) <= 0.020
    assert [event.is_final for event in events] == [False] * (len(events) - 1) + [True]
    assert {(event.frame.sample_rate, event.frame.num_channels) for event in events} == {(rate, 1)}
    assert len({event.request_id for event in events}) == 1


@pytest.mark.parametrize(
    ("content_type", "start"),
    [
        ("audio/pcm;rate=24000", PCM[:9600]),
        ("audio/wav", streamed(wav(PCM[:9600]), 0xFFFFFFFF)),
    ],
    ids=shown,
)
async def test_audio_is_heard_while_the_rest_is_not_there_yet(
    gateway: LocalGateway, client: Any, content_type: str, start: bytes
) -> None:
    gate = Gate()
    gateway.synthesize.script(speech([start, gate, PCM[9600:]], content_type))
    async with make_tts(client).synthesize("Hello.", conn_options=NO_RETRY) as stream:
        assert await first_bytes(stream, 9600) == PCM[:9600]
        await gate.reached()
        gate.open()
        assert joined([event async for event in stream]) == PCM[9600:]


@pytest.mark.parametrize(
    ("content_type", "audio"),
    [
        ("audio/mpeg", compressed(tone(1.0))),
        ("audio/pcm;rate=48000", tone(1.0, rate=48_000)),
        ("audio/pcm;rate=24000;channels=2", tone(1.0, channels=2)),
    ],
    ids=shown,
)
async def test_converted_audio_is_heard_while_the_rest_is_not_there_yet(
    gateway: LocalGateway, speko: Speko, content_type: str, audio: bytes
) -> None:
    gate, half = Gate(), len(audio) // 2
    gateway.synthesize.script(speech([audio[:half], gate, audio[half:]], content_type))
    voice = make_tts(speko, convert_audio=True)
    async with voice.synthesize("Hello.", conn_options=NO_RETRY) as stream:
        assert await first_bytes(stream, 2 * 24_000 // 5)
        await gate.reached()
        gate.open()
        assert [event async for event in stream][-1].is_final


@pytest.mark.parametrize(
    ("content_type", "audio_format"),
    [
        ("application/octet-stream", "audio/pcm;rate=24000"),
        ("audio/pcm;rate=16000", "audio/pcm;rate=24000"),
        ("audio/mpeg", "audio/pcm"),
        ("audio/pcm;rate=24000", ""),
    ],
)
async def test_the_format_header_wins_over_the_content_type(
    gateway: LocalGateway, speko: Speko, content_type: str, audio_format: str
) -> None:
    gateway.synthesize.script(speech(PCM, content_type, audio_format=audio_format))
    assert joined(await speak(make_tts(speko))) == PCM


async def test_a_wrong_rate_in_the_format_header_is_believed(
    gateway: LocalGateway, speko: Speko
) -> None:
    mistaken = speech(PCM, "audio/pcm;rate=24000", audio_format="audio/pcm;rate=16000")
    error = await assert_given_up(gateway, make_tts(speko), mistaken)
    assert adapter_error(error) == (MISMATCH, "SAMPLE_RATE_MISMATCH")


@pytest.mark.parametrize(
    ("audio", "content_type"),
    [
        (tone(0.5, rate=16_000), "audio/pcm;rate=16000"),
        (wav(tone(0.5, rate=48_000), rate=48_000), "audio/wav"),
        (wav(tone(0.5, channels=2), channels=2), "audio/wav"),
        (wav(tone(0.5, rate=8_000, channels=2), rate=8_000, channels=2), "audio/x-wav"),
        (compressed(tone(0.5)), "audio/mpeg"),
        (compressed(tone(0.5, rate=44_100), rate=44_100), "audio/mpeg"),
    ],
    ids=shown,
)
async def test_with_convert_audio_other_audio_is_made_to_fit(
    gateway: LocalGateway, speko: Speko, audio: bytes, content_type: str
) -> None:
    gateway.synthesize.script(speech(audio, content_type, chunk_bytes=777))
    events = await speak(make_tts(speko, convert_audio=True))
    assert {(event.frame.sample_rate, event.frame.num_channels) for event in events} == {
        (24_000, 1)
    }
    assert max(event.frame.duration for event in events) <= 0.020
    assert events[-1].is_final
    pcm = joined(events)
    assert len(pcm) / 2 / 24_000 == pytest.approx(0.5, abs=0.06)
    assert pitch(pcm) == pytest.approx(440, abs=3)


async def test_a_failover_in_the_middle_of_a_call_is_played_on(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.synthesize.script(
        speech(), speech(tone(0.5, rate=16_000), "audio/pcm;rate=16000"), speech()
    )
    voice = make_tts(speko, convert_audio=True)
    lengths = [len(joined(await speak(voice))) for _ in range(3)]
    assert lengths == [len(PCM), pytest.approx(len(PCM), abs=48), len(PCM)]


async def test_sessions_share_one_tts_and_a_connection_is_used_again(
    gateway: LocalGateway, speko: Speko
) -> None:
    gates, voice = (Gate(), Gate()), make_tts(speko)
    parts = [(PCM[:1000], PCM[1000:]), (PCM[:3000], PCM[3000:])]
    gateway.synthesize.script(
        *[speech([a, gate, b]) for gate, (a, b) in zip(gates, parts, strict=True)]
    )
    calls = [asyncio.create_task(speak(voice, text)) for text in ("One.", "Two.")]
    for gate in gates:
        await gate.reached()
    for gate in gates:
        gate.open()
    assert [joined(await call)[: len(PCM)] for call in calls] == [PCM, PCM]
    gateway.synthesize.script(speech())
    await speak(voice)
    assert gateway.open_connections == 2


# What is refused


@pytest.mark.parametrize(
    ("audio", "content_type", "text", "code"),
    [
        (PCM, "audio/pcm;rate=16000", MISMATCH, "SAMPLE_RATE_MISMATCH"),
        (wav(PCM, rate=16_000), "audio/wav", MISMATCH, "SAMPLE_RATE_MISMATCH"),
        (wav(PCM, channels=2), "audio/wav", STEREO, "UNSUPPORTED_CHANNELS"),
        (compressed(PCM), "audio/mpeg", COMPRESSED, "UNSUPPORTED_AUDIO_FORMAT"),
        (b"<html>", "text/html; charset=utf-8", UNKNOWN_TYPE, "UNSUPPORTED_CONTENT_TYPE"),
    ],
    ids=shown,
)
async def test_audio_that_cannot_be_played_is_given_up_with_what_to_do(
    gateway: LocalGateway, speko: Speko, audio: bytes, content_type: str, text: str, code: str
) -> None:
    error = await assert_given_up(gateway, make_tts(speko), speech(audio, content_type))
    assert adapter_error(error) == (text, code)
    assert error.body == {"code": code}


@pytest.mark.parametrize("content_type", ["text/html", "audio/mpeg", "audio/pcm;rate=16000"])
async def test_audio_that_is_refused_frees_its_connection_at_once(
    gateway: LocalGateway, client: Any, content_type: str
) -> None:
    gc.disable()  # A connection that is closed because its last reference went would pass.
    try:
        await assert_given_up(gateway, make_tts(client), speech([PCM, Gate()], content_type))
        await gateway.idle(connections=0, within_s=3)
    finally:
        gc.enable()


async def test_the_remedy_that_a_wrong_rate_names_helps(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.synthesize.script(speech(PCM, "audio/pcm;rate=16000"))
    assert joined(await speak(make_tts(speko, sample_rate=16_000))) == PCM


async def test_another_type_is_given_up_with_convert_audio_too(
    gateway: LocalGateway, speko: Speko
) -> None:
    voice = make_tts(speko, convert_audio=True)
    error = await assert_given_up(gateway, voice, speech(b"<html>", "text/html"))
    assert adapter_error(error) == (UNKNOWN_TYPE, "UNSUPPORTED_CONTENT_TYPE")


@pytest.mark.parametrize(
    ("audio", "content_type", "convert_audio"),
    [
        (b"", "audio/pcm;rate=24000", False),
        (b"", "audio/pcm;rate=24000", True),
        (b"\1", "audio/pcm;rate=24000", False),
        (b"", "audio/wav", False),
        (b"", "audio/wav", True),
        (wav(b""), "audio/wav", False),
        (b"", "audio/pcm;rate=16000", False),
        (b"", "audio/mpeg", False),
        (b"", "audio/mpeg", True),
        (b"", "application/octet-stream", False),
    ],
    ids=shown,
)
async def test_no_audio_at_all_is_retried(
    gateway: LocalGateway, speko: Speko, audio: bytes, content_type: str, convert_audio: bool
) -> None:
    voice = make_tts(speko, convert_audio=convert_audio)
    error = await assert_retried(gateway, voice, speech(audio, content_type))
    assert adapter_error(error) == (EMPTY, "EMPTY_AUDIO")


async def test_no_audio_is_an_error_of_its_own_when_it_is_not_retried(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.synthesize.script(speech(b""))
    with pytest.raises(APIError) as raised:
        await speak(make_tts(client))
    assert adapter_error(raised.value) == (EMPTY, "EMPTY_AUDIO")


@pytest.mark.parametrize(
    ("audio", "text"),
    [
        (wav(PCM)[:-2], "SpekoAdapter: malformed WAV: it holds 23998 bytes of the 24000"),
        (wav(PCM)[:20], "SpekoAdapter: malformed WAV: it ends after 20 bytes"),
        (b"<html>", "SpekoAdapter: malformed WAV: it begins with b'<html>'"),
    ],
    ids=shown,
)
async def test_a_malformed_wav_is_retried(
    gateway: LocalGateway, speko: Speko, audio: bytes, text: str
) -> None:
    error = await assert_retried(gateway, make_tts(speko), speech(audio, "audio/wav"))
    found, code = adapter_error(error)
    assert found.startswith(text)
    assert code == "MALFORMED_AUDIO"


async def test_compressed_audio_that_cannot_be_decoded_is_retried(
    gateway: LocalGateway, speko: Speko
) -> None:
    voice = make_tts(speko, convert_audio=True)
    error = await assert_retried(gateway, voice, speech(b"<html>" * 99, "audio/mpeg"))
    assert adapter_error(error) == (
        "SpekoTTS: acme returned audio/mpeg that can't be decoded.",
        "MALFORMED_AUDIO",
    )


# The service's own errors


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_status_that_may_pass_is_retried(
    gateway: LocalGateway, speko: Speko, status: int
) -> None:
    error = await assert_retried(
        gateway, make_tts(speko), Refusal(status, "not now", "RATE_LIMITED")
    )
    assert isinstance(error, APIStatusError)
    assert error.status_code == status
    assert error.message == f"Speko: not now ({status} RATE_LIMITED)"
    assert error.body == {"error": "not now", "code": "RATE_LIMITED"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_status_that_will_not_pass_is_given_up(
    gateway: LocalGateway, speko: Speko, status: int
) -> None:
    error = await assert_given_up(gateway, make_tts(speko), Refusal(status, "no", "AUTH_ERROR"))
    assert isinstance(error, APIStatusError)
    assert error.status_code == status
    assert error.message == f"Speko: no ({status} AUTH_ERROR)"
    assert error.body == {"error": "no", "code": "AUTH_ERROR"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, SpekoAuthError), (403, SpekoApiError), (429, SpekoRateLimitError), (503, SpekoApiError)],
)
async def test_the_cause_is_the_speko_error(
    gateway: LocalGateway, speko: Speko, status: int, kind: type[SpekoApiError]
) -> None:
    gateway.synthesize.script(Refusal(status, "no", "CODE", headers={"Retry-After": "7"}))
    with pytest.raises(APIStatusError) as raised:
        await speak(make_tts(speko))
    found = raised.value.__cause__
    assert type(found) is kind
    assert (found.message, found.status, found.code) == ("no", status, "CODE")
    assert getattr(found, "retry_after", 7) == 7


async def test_a_proxys_page_is_an_error_with_its_status(
    gateway: LocalGateway, speko: Speko
) -> None:
    page = Refusal(502, body="<html>Bad Gateway</html>")
    error = await assert_retried(gateway, make_tts(speko), page)
    assert isinstance(error, APIStatusError)
    assert error.status_code == 502


@pytest.mark.parametrize(
    ("status", "retryable"), [(401, False), (422, False), (429, True), (503, True)]
)
async def test_errors_of_the_official_sdk_are_known_too(
    gateway: LocalGateway, client: Any, status: int, retryable: bool
) -> None:
    gateway.synthesize.script(Refusal(status, "no", "CODE"))
    with pytest.raises(APIStatusError) as raised:
        await speak(make_tts(client))
    assert (raised.value.status_code, raised.value.retryable) == (status, retryable)
    assert isinstance(raised.value.__cause__, SpekoApiError | spekoai.SpekoApiError)


async def test_a_wrong_key_is_given_up(gateway: LocalGateway) -> None:
    async with Speko(base_url=gateway.base_url, api_key="wrong") as client:
        error = await assert_given_up(gateway, make_tts(client))
    assert isinstance(error, APIStatusError)
    assert error.status_code == 401
    assert isinstance(error.__cause__, SpekoAuthError)


async def test_tries_end_where_conn_options_say(gateway: LocalGateway, speko: Speko) -> None:
    gateway.synthesize.always(Refusal(503, "not now", "ALL_PROVIDERS_FAILED"))
    voice = make_tts(speko)
    errors = errors_of(voice)
    with pytest.raises(APIStatusError):
        await speak(voice, conn_options=QUICK_RETRY)
    assert len(gateway.requests) == 1 + QUICK_RETRY.max_retry
    assert [event.recoverable for event in errors] == [True, True, False]


# The network's errors


async def test_a_refused_connection_is_a_connection_error() -> None:
    async with RawServer() as server:
        pass
    async with Speko(base_url=server.base_url, api_key="k") as client:
        voice = make_tts(client)
        errors = errors_of(voice)
        with pytest.raises(APIConnectionError) as raised:
            await speak(voice, conn_options=APIConnectOptions(max_retry=1))
    assert type(raised.value) is APIConnectionError
    assert isinstance(raised.value.__cause__, httpx.ConnectError)
    assert [event.recoverable for event in errors] == [True, False]


BROKEN_AFTER = (1, 2, 480, 961, 4_800, 12_345, len(PCM) - 2, len(PCM))


@pytest.mark.parametrize("sent_bytes", BROKEN_AFTER)
@pytest.mark.parametrize(
    ("content_type", "audio", "convert_audio", "whole"),
    [
        ("audio/pcm;rate=24000", PCM, False, PCM),
        ("audio/wav", wav(PCM), False, PCM),
        ("audio/pcm;rate=24000;channels=2", tone(0.5, channels=2), True, PCM),
    ],
    ids=shown,
)
async def test_a_sentence_that_breaks_off_goes_on_where_it_stopped_to_the_sample(
    content_type: str, audio: bytes, convert_audio: bool, whole: bytes, sent_bytes: int
) -> None:
    headers = {"Content-Type": content_type}
    broken = answer([audio[:sent_bytes]], headers=headers, whole=False)
    async with (
        RawServer(broken, answer([audio], headers=headers)) as server,
        Speko(base_url=server.base_url, api_key="k") as client,
    ):
        voice = make_tts(client, convert_audio=convert_audio)
        errors = errors_of(voice)
        events = await speak(voice, conn_options=QUICK_RETRY)
    (event,) = errors
    assert type(event.error) is APIConnectionError
    assert isinstance(event.error.__cause__, httpx.RemoteProtocolError)
    assert (event.recoverable, len(server.heads)) == (True, 2)
    assert joined(events) == whole
    assert [each.is_final for each in events] == [False] * (len(events) - 1) + [True]


async def test_a_compressed_sentence_that_breaks_off_is_still_said_once() -> None:
    audio, headers = compressed(PCM), {"Content-Type": "audio/mpeg"}
    broken = answer([audio[: len(audio) // 2]], headers=headers, whole=False)
    async with (
        RawServer(broken, answer([audio], headers=headers)) as server,
        Speko(base_url=server.base_url, api_key="k") as client,
    ):
        events = await speak(make_tts(client, convert_audio=True), conn_options=QUICK_RETRY)
    assert len(joined(events)) / 2 / 24_000 == pytest.approx(0.5, abs=0.06)


async def test_a_sentence_that_breaks_off_twice_is_still_said_once() -> None:
    headers = {"Content-Type": "audio/pcm;rate=24000"}
    parts = [answer([PCM[:size]], headers=headers, whole=False) for size in (6_000, 15_000)]
    async with (
        RawServer(*parts, answer([PCM], headers=headers)) as server,
        Speko(base_url=server.base_url, api_key="k") as client,
    ):
        assert joined(await speak(make_tts(client), conn_options=QUICK_RETRY)) == PCM


async def test_a_stalled_sentence_goes_on_where_it_stopped(
    gateway: LocalGateway, speko: Speko
) -> None:
    """LiveKit plays everything that came when the audio is late, so all of it counts as heard."""
    gateway.synthesize.script(speech([PCM[:12_000], Gate()]), speech())
    options = APIConnectOptions(max_retry=1, retry_interval=0.0, timeout=0.6)
    assert joined(await speak(make_tts(speko), conn_options=options)) == PCM


async def test_a_second_answer_with_nothing_new_ends_the_sentence(
    gateway: LocalGateway, speko: Speko
) -> None:
    """The provider that takes over may speak faster: what it says has been heard already."""
    gateway.synthesize.script(speech([PCM[:12_000], Gate()]), speech(PCM[:4_800]))
    options = APIConnectOptions(max_retry=1, retry_interval=0.0, timeout=0.6)
    assert joined(await speak(make_tts(speko), conn_options=options)) == PCM[:12_000] + bytes(2)


async def test_a_connection_closed_without_an_answer_is_retried() -> None:
    headers = {"Content-Type": "audio/pcm;rate=24000"}
    async with (
        RawServer(b"", answer([PCM], headers=headers)) as server,
        Speko(base_url=server.base_url, api_key="k") as client,
    ):
        voice = make_tts(client)
        errors = errors_of(voice)
        assert joined(await speak(voice, conn_options=QUICK_RETRY)) == PCM
    assert [type(event.error) for event in errors] == [APIConnectionError]


# Timeouts


async def assert_timed_out(gateway: LocalGateway, voice: SpekoTTS) -> None:
    errors, clock = errors_of(voice), asyncio.get_running_loop()
    began = clock.time()
    with pytest.raises(APITimeoutError) as raised:
        await speak(voice, conn_options=IMPATIENT)
    assert 0.14 < clock.time() - began < 3
    assert raised.value.message == "Speko did not answer in time."
    assert isinstance(raised.value.__cause__, TimeoutError)
    assert raised.value.retryable
    assert [event.recoverable for event in errors] == [False]
    await gateway.requests[0].finished()
    assert gateway.requests[0].cancelled


async def test_headers_that_do_not_come_are_a_timeout(gateway: LocalGateway, client: Any) -> None:
    gateway.synthesize.use(held_engine(Gate()))
    await assert_timed_out(gateway, make_tts(client))


@pytest.mark.parametrize(
    ("content_type", "audio"),
    [
        ("audio/pcm;rate=24000", b""),
        ("audio/pcm;rate=24000", PCM),
        ("audio/wav", wav(PCM)[:100]),
        ("audio/mpeg", b""),
        ("audio/mpeg", compressed(PCM)),
    ],
    ids=shown,
)
async def test_silence_of_the_service_is_a_timeout(
    gateway: LocalGateway, speko: Speko, content_type: str, audio: bytes
) -> None:
    gateway.synthesize.script(speech([audio, Gate()], content_type))
    await assert_timed_out(gateway, make_tts(speko, convert_audio=True))


async def test_a_timeout_is_retried(gateway: LocalGateway, speko: Speko) -> None:
    gateway.synthesize.script(speech([Gate()]), speech())
    voice = make_tts(speko)
    errors = errors_of(voice)
    patience = APIConnectOptions(max_retry=1, timeout=0.3)
    assert joined(await speak(voice, conn_options=patience)) == PCM
    assert [(type(event.error), event.recoverable) for event in errors] == [(APITimeoutError, True)]


@pytest.mark.parametrize(
    ("content_type", "audio"),
    [("audio/pcm;rate=24000", PCM), ("audio/mpeg", compressed(tone(2.0)))],
    ids=shown,
)
async def test_a_healthy_stream_longer_than_the_timeout_is_not_cut(
    gateway: LocalGateway, speko: Speko, content_type: str, audio: bytes
) -> None:
    patience = APIConnectOptions(max_retry=0, timeout=0.3)
    gateway.synthesize.latency = Latency(between_s=0.05)
    gateway.synthesize.script(speech(audio, content_type, chunk_bytes=len(audio) // 9))
    began = asyncio.get_running_loop().time()
    events = await speak(make_tts(speko, convert_audio=True), conn_options=patience)
    assert asyncio.get_running_loop().time() - began > patience.timeout
    assert events[-1].is_final


# A caller who barges in


async def assert_let_go(
    gateway: LocalGateway, voice: SpekoTTS, stream: SpekoTTSChunkedStream
) -> None:
    errors = errors_of(voice)
    await stream.aclose()
    await gateway.requests[0].finished()
    assert gateway.requests[0].cancelled
    await gateway.idle(connections=0)
    assert errors == []


async def test_closing_before_the_headers_frees_the_connection(
    gateway: LocalGateway, client: Any
) -> None:
    gate, voice = Gate(), make_tts(client)
    gateway.synthesize.use(held_engine(gate))
    stream = voice.synthesize("Hello.")
    await gate.reached()
    await assert_let_go(gateway, voice, stream)


@pytest.mark.parametrize(
    ("content_type", "audio"),
    [
        ("audio/pcm;rate=24000", b""),
        ("audio/pcm;rate=24000", PCM),
        ("audio/wav", wav(PCM)[:-2]),
        ("audio/mpeg", compressed(PCM)),
    ],
    ids=shown,
)
async def test_closing_in_the_middle_frees_the_connection(
    gateway: LocalGateway, speko: Speko, content_type: str, audio: bytes
) -> None:
    gate, voice = Gate(), make_tts(speko, convert_audio=True)
    gateway.synthesize.script(speech([audio, gate], content_type))
    stream = voice.synthesize("Hello.")
    await gate.reached()
    if audio:
        await first_bytes(stream, 1)
    await assert_let_go(gateway, voice, stream)


async def test_a_cancelled_task_raises_nothing_but_that(gateway: LocalGateway, client: Any) -> None:
    gate, voice = Gate(), make_tts(client)
    errors = errors_of(voice)
    gateway.synthesize.script(speech([PCM, gate]))
    call = asyncio.create_task(speak(voice, conn_options=QUICK_RETRY))
    await gate.reached()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await gateway.idle(connections=0)
    assert (errors, len(gateway.requests)) == ([], 1)


async def test_closing_the_tts_closes_the_streams_it_has_made(
    gateway: LocalGateway, speko: Speko
) -> None:
    gate, voice = Gate(), make_tts(speko)
    gateway.synthesize.script(speech([PCM, gate]), speech([PCM, gate]))
    streams = [voice.synthesize(text) for text in ("One.", "Two.")]
    await gateway.arrived("synthesize", count=2)
    await voice.aclose()
    assert all(stream.done for stream in streams)
    await gateway.idle(connections=0)


async def test_closing_the_tts_leaves_the_client_open(gateway: LocalGateway, speko: Speko) -> None:
    await make_tts(speko).aclose()
    gateway.synthesize.script(speech())
    assert joined(await speak(make_tts(speko))) == PCM


async def test_a_stream_that_nobody_holds_is_not_kept(gateway: LocalGateway, speko: Speko) -> None:
    voice = make_tts(speko)
    gateway.synthesize.script(speech())
    async with voice.synthesize("Hello.") as stream:
        await stream.collect()
    forgotten = weakref.ref(stream)
    del stream
    gc.collect()
    assert forgotten() is None


# What is reported


async def test_metrics_tell_of_the_utterance(gateway: LocalGateway, client: Any) -> None:
    collected: list[metrics.TTSMetrics] = []
    voice = make_tts(client)
    voice.on("metrics_collected", collected.append)
    gateway.synthesize.script(speech())
    events = await speak(voice, "Hello there.")
    (told,) = collected
    assert (told.label, told.streamed, told.cancelled) == ("speko.TTS", False, False)
    assert told.characters_count == len("Hello there.")
    assert told.audio_duration == pytest.approx(0.5)
    assert 0 < told.ttfb <= told.duration
    assert told.request_id == events[0].request_id
    assert told.metadata is not None
    assert (told.metadata.model_provider, told.metadata.model_name) == ("speko", "speko-router")


async def test_the_route_is_logged_and_what_is_said_is_not(
    gateway: LocalGateway, speko: Speko, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="livekit.plugins.speko")
    gateway.synthesize.script(speech())
    await speak(make_tts(speko), "A secret.")
    (record,) = (each for each in caplog.records if each.name == "livekit.plugins.speko")
    assert (record.levelno, record.getMessage()) == (logging.DEBUG, "speech synthesized")
    route = {key: value for key, value in vars(record).items() if key.startswith("speko.")}
    assert route == {
        "speko.provider": "acme",
        "speko.model": "acme-2",
        "speko.failover_count": 1,
        "speko.scores_run_id": "run-7",
    }
    assert "A secret." not in str(vars(record))
