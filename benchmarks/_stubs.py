"""LiveKit's base classes with nothing behind them: what its own part of a call costs."""

from __future__ import annotations

from typing import Any

from livekit.agents import LanguageCode, llm, stt, tts, vad
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS


class NoVAD(vad.VAD):
    """A VAD for adapters that nobody gives audio to."""

    def __init__(self) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=0.032))

    def stream(self) -> vad.VADStream:
        raise NotImplementedError


class StubSTT(stt.STT[Any]):
    """Understands everything at once."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))

    async def _recognize_impl(self, buffer: Any, **_: Any) -> stt.SpeechEvent:
        found = stt.SpeechData(language=LanguageCode("en"), text="Hello.")
        return stt.SpeechEvent(stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[found])


class StubLLM(llm.LLM[Any]):
    """Knows its answer beforehand."""

    def chat(
        self, *, chat_ctx: llm.ChatContext, tools: Any = None, conn_options: Any = None, **_: Any
    ) -> llm.LLMStream:
        options = conn_options or DEFAULT_API_CONNECT_OPTIONS
        return StubLLMStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=options)


class StubLLMStream(llm.LLMStream):
    """Its answer."""

    async def _run(self) -> None:
        for token in ("It", " is", " sunny", "."):
            delta = llm.ChoiceDelta(role="assistant", content=token)
            self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))


class StubTTS(tts.TTS[Any]):
    """Has spoken already."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=24_000, num_channels=1
        )

    def synthesize(self, text: str, *, conn_options: Any = None) -> tts.ChunkedStream:
        options = conn_options or DEFAULT_API_CONNECT_OPTIONS
        return StubSpeech(tts=self, input_text=text, conn_options=options)


class StubSpeech(tts.ChunkedStream):
    """Its speech: silence, 40 ms at a time."""

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id="1",
            sample_rate=24_000,
            num_channels=1,
            mime_type="audio/pcm",
            frame_size_ms=20,
        )
        for _ in range(20):
            output_emitter.push(bytes(1_920))
