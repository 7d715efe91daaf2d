"""Speech-to-text, through LiveKit's own `recognize` and its stream adapter."""

from __future__ import annotations

import asyncio
import io
import logging
import wave
from collections.abc import AsyncIterator
from typing import Any

import pytest
import spekoai
from livekit import rtc
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError, stt, vad
from livekit.agents.types import NOT_GIVEN, APIConnectOptions, NotGivenOr
from livekit.plugins import silero

from livekit_plugins_speko import PipelineConstraints, Speko, SpekoSTT, __version__
from livekit_plugins_speko.testing import (
    Answer,
    AnswerWriter,
    EndOfStream,
    ErrorEvent,
    Gate,
    Latency,
    LocalGateway,
    ProviderRoute,
    Refusal,
    Transcript,
)

from .support import FIXTURES, NO_RETRY, QUICK_RETRY, cause, frame, tone

INTENT = {"language": "en-US", "region": "global", "optimize_for": "latency"}
SPEECH = frame(tone(rate=16_000))
SOON_S = 10.0  # far below the clients' own timeouts
IMPATIENT = APIConnectOptions(max_retry=0, timeout=0.05)


class BreaksBehindTheEnd(Answer):
    """A whole transcript, behind which the connection breaks off."""

    serves = frozenset({"transcribe"})

    async def write(self, writer: AnswerWriter) -> None:
        await Transcript("hello").write(writer)
        writer.abort()


def make_stt(speko: Any, **options: Any) -> SpekoSTT:
    return SpekoSTT(**{"speko": speko, "intent": INTENT, **options})


def errors_of(recognizer: SpekoSTT) -> list[stt.STTError]:
    """The error events of a recognizer, as they come."""
    errors: list[stt.STTError] = []
    recognizer.on("error", errors.append)
    return errors


def read_wav(data: bytes) -> tuple[int, int, int, bytes]:
    """The channels, sample width in bytes, rate in Hz and samples of a WAV."""
    with wave.open(io.BytesIO(data)) as file:
        return (
            file.getnchannels(),
            file.getsampwidth(),
            file.getframerate(),
            file.readframes(file.getnframes()),
        )


@pytest.fixture(params=["Speko", "AsyncSpeko"])
async def client(request: pytest.FixtureRequest, gateway: LocalGateway) -> AsyncIterator[Any]:
    """Each of the clients that an adapter takes."""
    kinds: dict[str, Any] = {"Speko": Speko, "AsyncSpeko": spekoai.AsyncSpeko}
    kind = kinds[request.param]
    async with kind(api_key=gateway.api_key, base_url=gateway.base_url) as client:
        yield client


def test_it_says_what_it_is_and_what_it_can_do(speko: Speko) -> None:
    recognizer = make_stt(speko)
    assert (recognizer.label, recognizer.provider, recognizer.model) == (
        "speko.STT",
        "speko",
        "speko-router",
    )
    assert recognizer.capabilities == stt.STTCapabilities(
        streaming=False, interim_results=False, offline_recognize=True, keyterms=True
    )


def test_stream_names_what_to_use_instead(speko: Speko) -> None:
    with pytest.raises(NotImplementedError) as raised:
        make_stt(speko).stream()
    assert "stt.StreamAdapter" in str(raised.value)
    assert "create_speko_components" in str(raised.value)


async def test_an_utterance_becomes_one_final_transcript(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.transcribe.script(Transcript("hello there", interim=["he", "hello"], confidence=0.75))
    event = await make_stt(client).recognize(SPEECH)
    assert event.type == stt.SpeechEventType.FINAL_TRANSCRIPT
    (heard,) = event.alternatives
    assert (heard.text, heard.language, heard.confidence) == ("hello there", "en-US", 0.75)
    assert event.request_id


async def test_the_older_services_answer_is_understood(gateway: LocalGateway, speko: Speko) -> None:
    gateway.transcribe.json_answers = True
    gateway.transcribe.script(Transcript("hello there", confidence=0.75))
    (heard,) = (await make_stt(speko).recognize(SPEECH)).alternatives
    assert (heard.text, heard.confidence) == ("hello there", 0.75)


async def test_a_connection_that_breaks_behind_the_end_costs_nothing(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(BreaksBehindTheEnd())
    event = await make_stt(speko).recognize(SPEECH, conn_options=NO_RETRY)
    assert event.alternatives[0].text == "hello"


@pytest.mark.parametrize(("reported", "confidence"), [(None, 1.0), (0.0, 0.0), (0.4, 0.4)])
async def test_confidence_is_the_services_or_full_when_it_reports_none(
    gateway: LocalGateway, client: Any, reported: float | None, confidence: float
) -> None:
    gateway.transcribe.script(Transcript("hello", confidence=reported))
    event = await make_stt(client).recognize(SPEECH)
    assert event.alternatives[0].confidence == confidence


async def test_silence_is_an_empty_text_and_no_error(gateway: LocalGateway, client: Any) -> None:
    gateway.transcribe.script(Transcript(""))
    recognizer = make_stt(client)
    errors = errors_of(recognizer)
    event = await recognizer.recognize(SPEECH, conn_options=NO_RETRY)
    assert [heard.text for heard in event.alternatives] == [""]
    assert errors == []


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
async def test_the_upload_is_mono_pcm16_at_the_frames_own_rate(
    gateway: LocalGateway, speko: Speko, rate: int
) -> None:
    gateway.transcribe.script(Transcript("hello"))
    pcm = tone(rate=rate)
    frames = [frame(pcm[:640], rate=rate), frame(pcm[640:], rate=rate)]
    await make_stt(speko).recognize(frames)
    (request,) = gateway.requests
    assert read_wav(request.audio) == (1, 2, rate, pcm)
    assert request.headers["Content-Type"] == "audio/wav"


async def test_every_option_is_sent(gateway: LocalGateway, client: Any) -> None:
    gateway.transcribe.script(Transcript("hello"))
    recognizer = make_stt(
        client,
        constraints=PipelineConstraints({"stt": ["deepgram:nova-3"], "llm": ["openai"]}),
        session_id=" session-1 ",
        keywords=["Spëko", "LiveKit"],
        stt_language="en-GB",
    )
    await recognizer.recognize(SPEECH)
    (request,) = gateway.requests
    assert request.intent == {"language": "en-US", "region": "global", "optimizeFor": "latency"}
    assert request.constraints == {
        "allowedProviders": {"stt": ["deepgram:nova-3"], "llm": ["openai"]}
    }
    assert request.stt_options == {"keywords": ["Spëko", "LiveKit"], "language": "en-GB"}
    assert request.session_id == "session-1"


@pytest.mark.parametrize("session_id", [None, "", "  "])
async def test_options_that_are_not_set_are_not_sent(
    gateway: LocalGateway, client: Any, session_id: str | None
) -> None:
    gateway.transcribe.script(Transcript("hello"))
    recognizer = make_stt(client, intent={"language": "en"}, session_id=session_id, keywords=[])
    await recognizer.recognize(SPEECH)
    (request,) = gateway.requests
    assert request.intent == {"language": "en"}
    told = [name.lower() for name in request.headers if name.lower().startswith("x-")]
    assert told == ["x-speko-intent"]


async def test_the_headers_json_is_compact_ascii(gateway: LocalGateway, speko: Speko) -> None:
    gateway.transcribe.script(Transcript("hello"))
    await make_stt(speko, keywords=["Spëko", "名"]).recognize(SPEECH)
    headers = gateway.requests[0].headers
    assert headers["X-Speko-Stt-Options"] == '{"keywords":["Sp\\u00ebko","\\u540d"]}'
    assert " " not in headers["X-Speko-Intent"]
    assert headers["User-Agent"] == f"livekit-plugins-speko/{__version__}"


@pytest.mark.parametrize(
    ("asked", "stt_language", "told", "heard"),
    [
        (NOT_GIVEN, None, None, "en-US"),
        ("", None, None, "en-US"),
        ("de", None, "de", "de"),
        (NOT_GIVEN, "en-GB", "en-GB", "en-US"),
        ("de", "en-GB", "de", "de"),
    ],
    ids=["intent", "blank", "call", "option", "call before option"],
)
async def test_the_language_of_the_call_counts_before_the_intents(
    gateway: LocalGateway,
    client: Any,
    asked: NotGivenOr[str],
    stt_language: str | None,
    told: str | None,
    heard: str,
) -> None:
    """It changes what the provider is told; the routing keeps the intent's."""
    gateway.transcribe.script(Transcript("hallo"))
    event = await make_stt(client, stt_language=stt_language).recognize(SPEECH, language=asked)
    (request,) = gateway.requests
    assert request.stt_options == (None if told is None else {"language": told})
    assert request.intent is not None and request.intent["language"] == "en-US"
    assert event.alternatives[0].language == heard


async def keywords_sent(gateway: LocalGateway, recognizer: stt.STT[Any]) -> list[str] | None:
    """The keywords of one more transcription."""
    gateway.transcribe.script(Transcript("hello"))
    await recognizer.recognize(SPEECH)
    options = gateway.requests[-1].stt_options
    return None if options is None else options["keywords"]


async def test_session_keyterms_join_the_keywords_each_once(
    gateway: LocalGateway, client: Any
) -> None:
    recognizer = make_stt(client, keywords=["Speko", "LiveKit"])
    recognizer._update_session_keyterms(["Paris", "Speko"])
    assert await keywords_sent(gateway, recognizer) == ["Speko", "LiveKit", "Paris"]


async def test_new_session_keyterms_take_the_place_of_the_old_ones(
    gateway: LocalGateway, speko: Speko
) -> None:
    recognizer = make_stt(speko)
    recognizer._update_session_keyterms(["Paris"])
    recognizer._update_session_keyterms(["Rome"])
    assert await keywords_sent(gateway, recognizer) == ["Rome"]
    recognizer._update_session_keyterms([])
    assert await keywords_sent(gateway, recognizer) is None


async def test_at_most_200_keywords_are_sent_the_users_own_first(
    gateway: LocalGateway, client: Any
) -> None:
    own = [f"own{n}" for n in range(150)]
    recognizer = make_stt(client, keywords=own)
    recognizer._update_session_keyterms([f"session{n}" for n in range(100)])
    assert await keywords_sent(gateway, recognizer) == own + [f"session{n}" for n in range(50)]


async def test_blank_session_keyterms_are_left_out(gateway: LocalGateway, speko: Speko) -> None:
    """LiveKit lets a model find them; one blank word must not have every utterance refused."""
    recognizer = make_stt(speko)
    recognizer._update_session_keyterms(["", "Paris", "  "])
    assert await keywords_sent(gateway, recognizer) == ["Paris"]


async def test_the_callers_lists_are_copied(gateway: LocalGateway, speko: Speko) -> None:
    keywords, keyterms = ["Speko"], ["Paris"]
    recognizer = make_stt(speko, keywords=keywords)
    recognizer._update_session_keyterms(keyterms)
    keywords.append("LiveKit")
    keyterms.append("Rome")
    assert await keywords_sent(gateway, recognizer) == ["Speko", "Paris"]
    assert (keywords, keyterms) == (["Speko", "LiveKit"], ["Paris", "Rome"])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"intent": {}}, "SpekoAdapter: intent.language is required (BCP-47 tag)"),
        ({"intent": {"language": " "}}, "SpekoAdapter: intent.language is required (BCP-47 tag)"),
        (
            {"intent": {"language": "en", "optimizeFor": "speed"}},
            'SpekoAdapter: unknown optimize_for "speed". '
            "Expected one of: balanced, accuracy, latency, cost.",
        ),
        ({"intent": {"language": "en", "zone": "eu"}}, '"zone"'),
        ({"constraints": {"allowed": {}}}, '"allowed"'),
        ({"keywords": "Speko"}, "SpekoSTT: keywords must be a list of words, got 'Speko'."),
        ({"keywords": ["Speko", " "]}, "SpekoSTT: keywords must be a list of words"),
        ({"keywords": [7]}, "SpekoSTT: keywords must be a list of words"),
        ({"keywords": ["a"] * 201}, "SpekoSTT: keywords has 201 words, expected 200 at most."),
        ({"stt_language": 7}, "SpekoSTT: stt_language must be a string, got int."),
        ({"session_id": 7}, "SpekoSTT: session_id must be a string, got int."),
        ({"session_id": "ü"}, "SpekoSTT: session_id must be printable ASCII, got 'ü'."),
        ({"session_id": "a\nb"}, "SpekoSTT: session_id must be printable ASCII, got 'a\\nb'."),
    ],
)
def test_an_option_that_cannot_be_used_is_an_error_at_once(
    speko: Speko, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError) as raised:
        make_stt(speko, **options)
    assert text in str(raised.value)


def test_200_keywords_are_taken(speko: Speko) -> None:
    make_stt(speko, keywords=["a"] * 200)


def test_the_synchronous_client_is_refused_by_name() -> None:
    with (
        spekoai.Speko(api_key="key") as client,
        pytest.raises(TypeError, match=r"SpekoSTT: .*async client, got the synchronous Speko"),
    ):
        make_stt(client)


@pytest.mark.parametrize("thing", [None, "key", object()])
def test_what_is_no_client_is_refused_by_its_type(thing: object) -> None:
    with pytest.raises(TypeError, match=f"SpekoSTT: .*got {type(thing).__name__}"):
        make_stt(thing)


@pytest.mark.parametrize(
    ("frames", "code", "text"),
    [
        (
            frame(tone(rate=16_000, channels=2), channels=2),
            "UNSUPPORTED_CHANNELS",
            "SpekoSTT: expected mono audio (1 channel), got 2.",
        ),
        (
            [frame(tone(rate=8_000), rate=8_000), SPEECH],
            "UNSUPPORTED_AUDIO_FORMAT",
            "[8000, 16000]",
        ),
        ([], "UNSUPPORTED_AUDIO_FORMAT", "got none"),
    ],
    ids=["stereo", "mixed rates", "no frames"],
)
async def test_audio_that_cannot_be_sent_is_an_error_that_is_not_retried(
    gateway: LocalGateway, speko: Speko, frames: Any, code: str, text: str
) -> None:
    recognizer = make_stt(speko)
    errors = errors_of(recognizer)
    with pytest.raises(APIError) as raised:
        await recognizer.recognize(frames, conn_options=QUICK_RETRY)
    assert type(raised.value) is APIError and not raised.value.retryable
    assert text in str(raised.value)
    assert type(cause(raised.value)).__name__ == "SpekoAdapterError"
    assert cause(raised.value).code == code
    assert [error.recoverable for error in errors] == [False]
    assert gateway.requests == []


@pytest.mark.parametrize(
    "fault",
    [
        Refusal(500, "tired", "TRANSCRIBE_FAILED"),
        Refusal(502, body="<h1>Bad gateway</h1>"),
        Refusal(429, "slow down", "RATE_LIMITED"),
        Refusal(408, "too slow"),
        Transcript("", interim=["he", ErrorEvent("all tired")]),
        Transcript("", interim=[EndOfStream()]),
    ],
    ids=["500", "502", "429", "408", "error event", "stream ended"],
)
async def test_a_fault_that_may_pass_is_retried(
    gateway: LocalGateway, client: Any, fault: Any
) -> None:
    gateway.transcribe.script(fault, Transcript("hello"))
    recognizer = make_stt(client)
    errors = errors_of(recognizer)
    event = await recognizer.recognize(SPEECH, conn_options=QUICK_RETRY)
    assert event.alternatives[0].text == "hello"
    assert [error.recoverable for error in errors] == [True]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_fault_that_stays_is_not_retried(
    gateway: LocalGateway, client: Any, status: int
) -> None:
    gateway.transcribe.script(Refusal(status, "no", "NOPE"))
    with pytest.raises(APIStatusError) as raised:
        await make_stt(client).recognize(SPEECH, conn_options=QUICK_RETRY)
    assert (raised.value.status_code, raised.value.retryable) == (status, False)
    assert cause(raised.value).status == status


async def test_when_every_attempt_fails_the_last_fault_is_the_cause(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.transcribe.script(*[Refusal(503, f"tired {n}", "BUSY") for n in range(3)])
    with pytest.raises(APIConnectionError, match="after 3 attempts") as raised:
        await make_stt(client).recognize(SPEECH, conn_options=QUICK_RETRY)
    failed = raised.value.__cause__
    assert isinstance(failed, APIStatusError)
    assert (failed.status_code, failed.body) == (503, {"error": "tired 2", "code": "BUSY"})


async def test_a_refused_connection_is_a_connection_error(gateway: LocalGateway) -> None:
    async with Speko(base_url=gateway.base_url, api_key=gateway.api_key) as speko:
        await gateway.aclose()
        with pytest.raises(APIConnectionError) as raised:
            await make_stt(speko).recognize(SPEECH, conn_options=NO_RETRY)
    assert raised.value.retryable and not isinstance(raised.value, APITimeoutError)


@pytest.mark.parametrize("held", ["headers", "text"])
async def test_an_answer_that_does_not_come_in_time_is_a_timeout(
    gateway: LocalGateway, client: Any, held: str
) -> None:
    gateway.transcribe.latency = Latency(headers_s=60 if held == "headers" else 0)
    gateway.transcribe.script(Transcript("too late", interim=[Gate()]))
    with pytest.raises(APITimeoutError) as raised:
        call = make_stt(client).recognize(SPEECH, conn_options=IMPATIENT)
        await asyncio.wait_for(call, SOON_S)
    assert raised.value.retryable
    await gateway.idle()
    assert gateway.requests[0].cancelled


async def test_interim_transcripts_count_as_progress(gateway: LocalGateway, speko: Speko) -> None:
    """A long utterance may take longer than a caller would wait for silence."""
    gateway.transcribe.latency = Latency(between_s=0.1)
    gateway.transcribe.script(Transcript("a long one", interim=["a"] * 6))
    options = APIConnectOptions(max_retry=0, timeout=0.4)
    event = await make_stt(speko).recognize(SPEECH, conn_options=options)
    assert event.alternatives[0].text == "a long one"


async def test_a_timeout_is_retried(gateway: LocalGateway, speko: Speko) -> None:
    gateway.transcribe.script(Transcript("too late", interim=[Gate()]), Transcript("hello"))
    options = APIConnectOptions(max_retry=1, retry_interval=0, timeout=0.5)
    event = await make_stt(speko).recognize(SPEECH, conn_options=options)
    assert event.alternatives[0].text == "hello"


async def test_a_cancelled_call_frees_its_connection_and_emits_no_error(
    gateway: LocalGateway, client: Any
) -> None:
    gate = Gate()
    gateway.transcribe.script(Transcript("never heard", interim=["nev", gate]))
    recognizer = make_stt(client)
    errors = errors_of(recognizer)
    call = asyncio.create_task(recognizer.recognize(SPEECH))
    await gate.reached()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await gateway.idle()
    assert gateway.requests[0].cancelled
    assert errors == []


async def test_calls_may_run_side_by_side(gateway: LocalGateway, client: Any) -> None:
    gate = Gate()
    gateway.transcribe.always(Transcript("hello", interim=[gate]))
    recognizer = make_stt(client)
    calls = [asyncio.create_task(recognizer.recognize(SPEECH)) for _ in range(3)]
    await gateway.arrived("transcribe", count=3)
    gate.open()
    ids = {event.request_id for event in await asyncio.gather(*calls)}
    assert len(ids) == 3


async def test_metrics_tell_the_duration_of_the_audio_and_of_the_call(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.transcribe.script(Transcript("hello"))
    recognizer = make_stt(client)
    collected: list[Any] = []
    recognizer.on("metrics_collected", collected.append)
    event = await recognizer.recognize(frame(tone(0.5, rate=16_000)))
    (metrics,) = collected
    assert (metrics.label, metrics.request_id, metrics.streamed) == (
        "speko.STT",
        event.request_id,
        False,
    )
    assert metrics.audio_duration == pytest.approx(0.5)
    assert 0 < metrics.duration < 5
    assert (metrics.metadata.model_provider, metrics.metadata.model_name) == (
        "speko",
        "speko-router",
    )


async def test_the_log_tells_the_route_and_not_what_was_said(
    gateway: LocalGateway, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    route = ProviderRoute("acme", "acme-2", failover_count=1, scores_run_id="run-7")
    gateway.transcribe.script(Transcript("my secret", route=route))
    with caplog.at_level(logging.DEBUG, "livekit.plugins.speko"):
        await make_stt(client).recognize(SPEECH)
    (record,) = [r for r in caplog.records if hasattr(r, "speko.provider")]
    assert vars(record)["speko.provider"] == "acme"
    assert vars(record)["speko.model"] == "acme-2"
    assert vars(record)["speko.failover_count"] == 1
    assert vars(record)["speko.scores_run_id"] == "run-7"
    plain = {key: value for key, value in vars(record).items() if "pii" not in key.split(".")}
    assert "secret" not in str(plain)


async def test_closing_it_leaves_the_client_open(gateway: LocalGateway, client: Any) -> None:
    async with make_stt(client):
        pass
    gateway.transcribe.script(Transcript("hello"))
    await make_stt(client).recognize(SPEECH)


@pytest.fixture(scope="module")
def voice_detector() -> vad.VAD:
    """Silero's VAD, loaded once."""
    return silero.VAD.load()


async def stream_events(adapter: stt.StreamAdapter, recording: bytes) -> list[stt.SpeechEvent]:
    """What a stream makes of 16 kHz samples with a second of silence after them."""
    pcm = recording + bytes(2 * 16_000)
    async with adapter.stream(conn_options=NO_RETRY) as stream:
        for at in range(0, len(pcm), 640):
            stream.push_frame(
                rtc.AudioFrame(pcm[at : at + 640], 16_000, 1, len(pcm[at:][:640]) // 2)
            )
        stream.end_input()
        return [event async for event in stream]


async def test_a_voice_detector_cuts_a_recorded_utterance_out(
    gateway: LocalGateway, client: Any, voice_detector: vad.VAD
) -> None:
    gateway.transcribe.script(Transcript("Hello, who are you?"))
    _, _, _, recording = read_wav((FIXTURES / "question.wav").read_bytes())
    adapter = stt.StreamAdapter(stt=make_stt(client), vad=voice_detector)
    events = await stream_events(adapter, recording)
    assert [event.type for event in events] == [
        stt.SpeechEventType.START_OF_SPEECH,
        stt.SpeechEventType.END_OF_SPEECH,
        stt.SpeechEventType.FINAL_TRANSCRIPT,
    ]
    assert events[-1].alternatives[0].text == "Hello, who are you?"
    channels, width, rate, uploaded = read_wav(gateway.requests[0].audio)
    assert (channels, width, rate) == (1, 2, 16_000)
    middle = len(recording) // 4 * 2
    assert recording[middle - 16_000 : middle + 16_000] in uploaded


async def test_silence_in_a_stream_is_no_transcript(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    gateway.transcribe.script(Transcript(""))
    _, _, _, recording = read_wav((FIXTURES / "goodbye.wav").read_bytes())
    adapter = stt.StreamAdapter(stt=make_stt(speko), vad=voice_detector)
    events = await stream_events(adapter, recording)
    assert stt.SpeechEventType.FINAL_TRANSCRIPT not in [event.type for event in events]


async def test_a_stream_adapter_hands_session_keyterms_on(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    adapter = stt.StreamAdapter(stt=make_stt(speko), vad=voice_detector)
    assert adapter.capabilities.keyterms
    adapter._update_session_keyterms(["Paris"])
    assert await keywords_sent(gateway, adapter) == ["Paris"]
