"""What the type checker must take. Only mypy reads this file; nothing runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import spekoai
from livekit import rtc
from livekit.agents import AgentSession, llm, stt, tts, vad
from typing_extensions import assert_type

from livekit_plugins_speko import (
    ChatTool,
    EagerStats,
    Intent,
    OptimizeFor,
    PipelineConstraints,
    RealtimeConnection,
    RegisteredToolsLoader,
    Speko,
    SpekoAdapterError,
    SpekoApiError,
    SpekoComponents,
    SpekoLLM,
    SpekoRateLimitError,
    SpekoSTT,
    SpekoSTTAdapter,
    SpekoTTS,
    SpekoTTSAdapter,
    SpekoTTSChunkedStream,
    WavAudio,
    chat_context_to_speko,
    create_speko_components,
    decode_synthesis_result,
    frames_to_wav,
    merge_tools,
    parse_wav,
    pcm_sample_rate_from_content_type,
    validate_intent,
)


def clients(http_client: httpx.AsyncClient) -> None:
    Speko()
    Speko(api_key="sk", base_url="http://localhost", timeout=5, http_client=http_client)
    assert_type(Speko().base_url, str)


async def speech_to_speech(speko: Speko) -> None:
    connection = await speko.realtime.connect(provider="openai", model="gpt-realtime")
    assert_type(connection, RealtimeConnection)
    assert_type(connection.lease_expires_at, str | None)
    async for event in connection:
        if event.type == "audio":
            assert_type(event.pcm, bytes)
        elif event.type == "transcript":
            assert_type(event.text, str)
        elif event.type == "close":
            assert_type(event.code, int | None)
    page = (await speko.realtime.mint(agent_id="agent-1")).for_browser()
    assert_type(page, dict[str, Any])


async def calls(speko: Speko, optimize_for: OptimizeFor) -> None:
    said = await speko.transcribe(b"", language="en", optimize_for=optimize_for, keywords=("a",))
    assert_type(said.text, str)
    assert_type(said.confidence, float | None)
    assert_type(said.scores_run_id, str | None)
    async for event in speko.complete_stream(messages=[{"role": "user"}], intent=Intent("en")):
        if event.type == "delta":
            assert_type(event.text, str)
        elif event.type == "error":
            assert_type(event.code, str)
        elif event.type == "done":
            assert_type(event.usage.prompt_tokens, int)
    async with await speko.synthesize_stream("Hi", language="en") as audio:
        assert_type(aiter(audio), AsyncIterator[bytes])
        assert_type(audio.content_type, str)
    whole = await speko.synthesize("Hi", language="en", speed=1)
    assert_type(decode_synthesis_result(whole), tuple[bytes, int, int])
    tools = await speko.agents.tools.list_chat_tools("agent-1", available=True)
    assert_type(tools, list[ChatTool])


def adapters(speko: Speko, official: spekoai.AsyncSpeko) -> None:
    """Both clients are taken, and intents and constraints in each of their forms."""
    SpekoSTT(speko=speko, intent=Intent("en", "global", "latency"), keywords=("Speko",))
    SpekoSTT(speko=official, intent={"language": "en", "optimizeFor": "latency"})
    SpekoLLM(speko=speko, intent=Intent("en"), constraints={"allowedProviders": {"llm": ["a"]}})
    SpekoLLM(speko=official, intent=Intent("en"), tools=[ChatTool(name="a"), {"name": "b"}])
    SpekoTTS(speko=speko, intent=Intent("en"), constraints=PipelineConstraints({"tts": ["a"]}))
    SpekoTTS(speko=official, intent=Intent("en"), speed=1, convert_audio=True)
    RegisteredToolsLoader(speko=speko, agent_id="agent-1", on_error=print)
    RegisteredToolsLoader(speko=official, agent_id="agent-1")


def refused(speko: Speko, synchronous: spekoai.Speko) -> None:
    """What the type checker must not take: each line fails here once it does."""
    SpekoSTT(speko=synchronous, intent=Intent("en"))  # type: ignore[arg-type]
    SpekoLLM(speko="sk-1", intent=Intent("en"))  # type: ignore[arg-type]
    SpekoTTS(speko, Intent("en"))  # type: ignore[call-arg]
    Intent("en", optimize_for="speed")  # type: ignore[arg-type]
    PipelineConstraints({"asr": ["deepgram"]})  # type: ignore[dict-item]
    SpekoAdapterError("no", "NO_SUCH_CODE")  # type: ignore[arg-type]


def parts(speko: Speko, vad: vad.VAD) -> AgentSession[None]:
    components = create_speko_components(
        speko=speko,
        vad=vad,
        intent={"language": "en"},
        llm={"temperature": 0.5},
        tts_options={"convert_audio": True},
        stt_options={"keywords": ["Speko"], "language": "en"},
        on_registered_tools_error=lambda error: None,
    )
    assert_type(components, SpekoComponents)
    ears, mind, mouth = components
    assert_type(ears, SpekoSTTAdapter | SpekoSTT)
    assert_type(mind, SpekoLLM)
    assert_type(mouth, SpekoTTSAdapter)
    livekits: tuple[stt.STT[Any], tts.StreamAdapter] = (components.stt, components.tts)
    assert livekits
    inner: stt.STT[Any] = components.stt.wrapped_stt
    assert inner
    if isinstance(components.stt, SpekoSTTAdapter):
        assert_type(components.stt.eager_stats, EagerStats)
    return AgentSession(vad=vad, stt=components.stt, llm=components.llm, tts=components.tts)


def livekit_s_own(recogniser: SpekoSTT, model: SpekoLLM, voice: SpekoTTS) -> None:
    """Each adapter stands where LiveKit asks for its base class."""
    bases: tuple[stt.STT[Any], llm.LLM[Any], tts.TTS[Any]] = (recogniser, model, voice)
    assert_type(voice.synthesize("Hi"), SpekoTTSChunkedStream)
    del bases


def helpers(frame: rtc.AudioFrame, context: llm.ChatContext, tools: list[ChatTool]) -> None:
    assert_type(frames_to_wav(frame), bytes)
    assert_type(frames_to_wav([frame]), bytes)
    assert_type(parse_wav(b""), WavAudio)
    assert_type(pcm_sample_rate_from_content_type("audio/pcm", 24_000), int)
    assert_type(chat_context_to_speko(context), list[dict[str, Any]])
    assert_type(merge_tools(tools, None), list[ChatTool] | None)
    assert_type(validate_intent({"language": "en"}), Intent)


def errors(api: SpekoApiError, limit: SpekoRateLimitError, adapter: SpekoAdapterError) -> None:
    assert_type(api.status, int)
    assert_type(limit.retry_after, float | None)
    value_error: ValueError = adapter
    del value_error


async def whole_answers(speko: Speko) -> None:
    """Options of the calls that collect a stream are checked like the stream's own."""
    reply = await speko.complete(messages=[{"role": "user", "content": "Hi"}], intent={})
    assert_type(reply.text, str)
    speech = await speko.synthesize("Hi", language="en", speed=1.1)
    assert_type(speech.audio, bytes)
    await speko.synthesize("Hi", language="en", sped=1.1)  # type: ignore[call-arg]
    await speko.complete(messages=[])  # type: ignore[call-arg]
