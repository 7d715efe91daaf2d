"""Speech-to-text, through LiveKit's own `recognize` and its stream adapter."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import stt, vad

from livekit_plugins_speko import Speko
from livekit_plugins_speko.testing import Answer, AnswerWriter, Gate, LocalGateway, Transcript
from tests.helpers.stt_calls import SPEECH, keywords_sent, make_stt
from tests.helpers.support import ACME, FIXTURES, NO_RETRY, errors_of, frame, read_wav, tone


class BreaksBehindTheEnd(Answer):
    """A complete transcript, after which the connection is cut."""

    serves = frozenset({"transcribe"})

    async def write(self, writer: AnswerWriter) -> None:
        await Transcript("hello").write(writer)
        writer.abort()


def test_label_provider_model_and_capabilities(speko: Speko) -> None:
    recognizer = make_stt(speko)
    assert (recognizer.label, recognizer.provider, recognizer.model) == (
        "speko.STT",
        "speko",
        "speko-router",
    )
    assert recognizer.capabilities == stt.STTCapabilities(
        streaming=False, interim_results=False, offline_recognize=True, keyterms=True
    )


def test_stream_error_names_the_adapter_to_use(speko: Speko) -> None:
    with pytest.raises(NotImplementedError) as raised:
        make_stt(speko).stream()
    assert "stt.StreamAdapter" in str(raised.value)
    assert "create_speko_components" in str(raised.value)


async def test_utterance_has_one_final_transcript(gateway: LocalGateway, client: Any) -> None:
    gateway.transcribe.script(Transcript("hello there", interim=["he", "hello"], confidence=0.75))
    event = await make_stt(client).recognize(SPEECH)
    assert event.type == stt.SpeechEventType.FINAL_TRANSCRIPT
    (heard,) = event.alternatives
    assert (heard.text, heard.language, heard.confidence) == ("hello there", "en-US", 0.75)
    assert event.request_id


async def test_response_of_an_older_service_is_parsed(gateway: LocalGateway, speko: Speko) -> None:
    gateway.transcribe.json_answers = True
    gateway.transcribe.script(Transcript("hello there", confidence=0.75))
    (heard,) = (await make_stt(speko).recognize(SPEECH)).alternatives
    assert (heard.text, heard.confidence) == ("hello there", 0.75)


async def test_connection_cut_after_the_end_has_no_effect(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.script(BreaksBehindTheEnd())
    event = await make_stt(speko).recognize(SPEECH, conn_options=NO_RETRY)
    assert event.alternatives[0].text == "hello"


@pytest.mark.parametrize(("reported", "confidence"), [(None, 1.0), (0.0, 0.0), (0.4, 0.4)])
async def test_confidence_is_the_services_or_1_without_one(
    gateway: LocalGateway, client: Any, reported: float | None, confidence: float
) -> None:
    gateway.transcribe.script(Transcript("hello", confidence=reported))
    event = await make_stt(client).recognize(SPEECH)
    assert event.alternatives[0].confidence == confidence


async def test_silence_is_an_empty_transcript_without_an_error(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.transcribe.script(Transcript(""))
    recognizer = make_stt(client)
    errors = errors_of(recognizer)
    event = await recognizer.recognize(SPEECH, conn_options=NO_RETRY)
    assert [heard.text for heard in event.alternatives] == [""]
    assert errors == []


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
async def test_upload_is_mono_pcm16_at_the_frames_own_rate(
    gateway: LocalGateway, speko: Speko, rate: int
) -> None:
    gateway.transcribe.script(Transcript("hello"))
    pcm = tone(rate=rate)
    frames = [frame(pcm[:640], rate=rate), frame(pcm[640:], rate=rate)]
    await make_stt(speko).recognize(frames)
    (request,) = gateway.requests
    assert read_wav(request.audio) == (1, 2, rate, pcm)
    assert request.headers["Content-Type"] == "audio/wav"


async def test_calls_run_concurrently(gateway: LocalGateway, client: Any) -> None:
    gate = Gate()
    gateway.transcribe.always(Transcript("hello", interim=[gate]))
    recognizer = make_stt(client)
    calls = [asyncio.create_task(recognizer.recognize(SPEECH)) for _ in range(3)]
    await gateway.arrived("transcribe", count=3)
    gate.open()
    ids = {event.request_id for event in await asyncio.gather(*calls)}
    assert len(ids) == 3


async def test_metrics_have_the_durations_of_audio_and_call(
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


async def test_log_has_the_route_but_no_speech(
    gateway: LocalGateway, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.transcribe.script(Transcript("my secret", route=ACME))
    with caplog.at_level(logging.DEBUG, "livekit.plugins.speko"):
        await make_stt(client).recognize(SPEECH)
    (record,) = [r for r in caplog.records if hasattr(r, "speko.provider")]
    assert vars(record)["speko.provider"] == "acme"
    assert vars(record)["speko.model"] == "acme-2"
    assert vars(record)["speko.failover_count"] == 1
    assert vars(record)["speko.scores_run_id"] == "run-7"
    plain = {key: value for key, value in vars(record).items() if "pii" not in key.split(".")}
    assert "secret" not in str(plain)


async def test_closing_leaves_the_client_open(gateway: LocalGateway, client: Any) -> None:
    async with make_stt(client):
        pass
    gateway.transcribe.script(Transcript("hello"))
    await make_stt(client).recognize(SPEECH)


async def stream_events(adapter: stt.StreamAdapter, recording: bytes) -> list[stt.SpeechEvent]:
    """Events of a stream for 16 kHz samples followed by a second of silence."""
    pcm = recording + bytes(2 * 16_000)
    async with adapter.stream(conn_options=NO_RETRY) as stream:
        for at in range(0, len(pcm), 640):
            stream.push_frame(
                rtc.AudioFrame(pcm[at : at + 640], 16_000, 1, len(pcm[at:][:640]) // 2)
            )
        stream.end_input()
        return [event async for event in stream]


async def test_vad_extracts_an_utterance_from_a_recording(
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


async def test_silence_in_a_stream_has_no_transcript(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    gateway.transcribe.script(Transcript(""))
    _, _, _, recording = read_wav((FIXTURES / "goodbye.wav").read_bytes())
    adapter = stt.StreamAdapter(stt=make_stt(speko), vad=voice_detector)
    events = await stream_events(adapter, recording)
    assert stt.SpeechEventType.FINAL_TRANSCRIPT not in [event.type for event in events]


async def test_stream_adapter_forwards_session_keyterms(
    gateway: LocalGateway, speko: Speko, voice_detector: vad.VAD
) -> None:
    adapter = stt.StreamAdapter(stt=make_stt(speko), vad=voice_detector)
    assert adapter.capabilities.keyterms
    adapter._update_session_keyterms(["Paris"])
    assert await keywords_sent(gateway, adapter) == ["Paris"]


@pytest.mark.parametrize("text", [".", "♪", "...", "[ ]", "。"])
async def test_transcript_without_a_letter_or_digit_is_silence(
    gateway: LocalGateway, client: Any, text: str
) -> None:
    gateway.transcribe.script(Transcript(text))
    event = await make_stt(client).recognize(SPEECH)
    assert event.alternatives[0].text == ""
