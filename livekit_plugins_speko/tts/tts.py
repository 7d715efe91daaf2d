"""Text-to-speech through Speko."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, NoReturn

from livekit.agents import APIConnectOptions, tts, utils
from livekit.agents.tts import AudioEmitter
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

from .._aio import Deadline, closing
from .._base import SpekoClient, prewarm, require_client
from .._checks import check_flag, check_number, check_rate, check_session_id, check_text
from .._faults import LiveKitErrors
from .._identity import SpekoIdentity
from .._reporting import Reported
from .._retry_after import RetryAfter
from ..api.requests import build_constraints
from ..api.response import drain
from ..api.timing import Timing
from ..audio.decoding import decode
from ..audio.pcm import SAMPLE_RATES_HZ, AudioFormat
from ..audio.wav import DEFAULT_SAMPLE_RATE, SAMPLE_BYTES
from ..intent import (
    ConstraintsLike,
    Intent,
    IntentLike,
    PipelineConstraints,
    validate_constraints,
    validate_intent,
)

FRAME_SIZE_MS = 20
"""Longest frame that is emitted, in milliseconds. Short frames make a short wait for the first."""


@dataclass(frozen=True)
class _Options:
    intent: Intent
    voice: str | None
    speed: float | None
    sample_rate: int
    instructions: str | None
    constraints: PipelineConstraints | None
    session_id: str | None
    spoken_form: bool | None
    convert_audio: bool


class SpekoTTS(SpekoIdentity, tts.TTS[Any]):
    """Speaks one text at a time, with the voice that Speko's router picks.

    A session hands over text as the model writes it: `create_speko_components` puts this class
    into a `SpekoTTSAdapter`, which cuts the text into sentences. It owns the streams it
    has made; the client stays the caller's. Sessions may share it.
    """

    def __init__(
        self,
        *,
        speko: SpekoClient,
        intent: IntentLike,
        voice: str | None = None,
        speed: float | None = None,
        sample_rate: int = DEFAULT_SAMPLE_RATE,
        instructions: str | None = None,
        constraints: ConstraintsLike | None = None,
        session_id: str | None = None,
        spoken_form: bool | None = None,
        convert_audio: bool = False,
    ) -> None:
        """Check the options; open nothing.

        Args:
            speko: The client: `Speko`, or ``AsyncSpeko`` of the official SDK.
            intent: What to route by.
            voice: Voice of the provider. None leaves it to Speko.
            speed: Factor above 0; 1.0 is the voice's own.
            sample_rate: Hz of the audio that is emitted, mono. Most providers send the default.
            instructions: How to say it, for providers that take such.
            constraints: Providers that the router may choose from.
            session_id: Session to book the calls to.
            spoken_form: Whether Speko turns numbers and markdown into spoken words first.
            convert_audio: Whether audio of another rate, of two channels or compressed is
                converted. Without it such audio is an error, and the sentence is lost: set it
                where a failover may change the provider in the middle of a call.

        Raises:
            ValueError: An option that can't be used.
            TypeError: `speko` is no async client.
        """
        check_rate("SpekoTTS: sample_rate", sample_rate, SAMPLE_RATES_HZ)
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False),
            sample_rate=sample_rate,
            num_channels=1,
        )
        self._label = "speko.TTS"
        self._speko = require_client(speko, "SpekoTTS")
        check_number("SpekoTTS: speed", speed, above=0)
        for name, value in (("voice", voice), ("instructions", instructions)):
            check_text(f"SpekoTTS: {name}", value)
        check_session_id("SpekoTTS: session_id", session_id)
        check_flag("SpekoTTS: spoken_form", spoken_form)
        check_flag("SpekoTTS: convert_audio", convert_audio)
        self._options = _Options(
            intent=validate_intent(intent),
            voice=voice,
            speed=speed,
            sample_rate=sample_rate,
            instructions=instructions,
            constraints=validate_constraints(constraints),
            session_id=session_id,
            spoken_form=spoken_form,
            convert_audio=convert_audio,
        )
        self._retry_after = RetryAfter()
        # Streams that somebody still holds.
        self._streams: weakref.WeakSet[SpekoTTSChunkedStream] = weakref.WeakSet()

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> SpekoTTSChunkedStream:
        """Speak a text; the audio streams.

        Args:
            text: What to say. Blank text is nothing to say, and makes no request.
            conn_options: ``timeout`` bounds, in seconds, the wait for the first audio and each
                pause after it, never the whole utterance.
        """
        stream = SpekoTTSChunkedStream(tts=self, input_text=text, conn_options=conn_options)
        self._streams.add(stream)
        return stream

    def stream(self, *, conn_options: APIConnectOptions | None = None) -> NoReturn:
        """Not supported.

        Raises:
            NotImplementedError: Always. The text says what to use.
        """
        raise NotImplementedError(
            "SpekoTTS speaks whole texts and has no stream(). Wrap it with "
            "tts.StreamAdapter(tts=..., sentence_tokenizer=...), or use "
            "create_speko_components(), which does so."
        )

    def prewarm(self) -> None:
        """Open the client's connection before the first call needs it, once for each client."""
        prewarm(self._speko)

    async def aclose(self) -> None:
        """Stop everything that is being spoken."""
        for stream in list(self._streams):
            await stream.aclose()


class SpekoTTSChunkedStream(tts.ChunkedStream):
    """One text being spoken, made by `SpekoTTS.synthesize`.

    It yields int16 mono frames of at most 20 ms at the TTS's sample rate, as the audio arrives; the
    last one is marked final. When synthesis breaks in the middle and LiveKit tries again, it goes
    on at the sample where it stopped. Nothing is said twice then, as far as the same voice answers:
    one that another provider renders has its words at other places.
    """

    def __init__(self, *, tts: SpekoTTS, input_text: str, conn_options: APIConnectOptions) -> None:
        """Begin to speak. `SpekoTTS.synthesize` does that."""
        super().__init__(tts=tts, input_text=input_text, conn_options=conn_options)
        self._speko = tts._speko
        self._options = tts._options
        self._retry_after = tts._retry_after
        # Samples that earlier attempts have handed on.
        self._spoken_samples = 0
        # The emitter of the attempt before this one. None in the first.
        self._last_emitter: AudioEmitter | None = None

    async def _run(self, output_emitter: AudioEmitter) -> None:
        if self._last_emitter is not None:
            spoken_s = self._last_emitter.pushed_duration()
            self._spoken_samples += round(spoken_s * self._options.sample_rate)
        self._last_emitter = output_emitter
        request_id = utils.shortuuid("speko_tts_")
        output_emitter.initialize(
            request_id=request_id,
            sample_rate=self._options.sample_rate,
            num_channels=1,
            mime_type="audio/pcm",
            frame_size_ms=FRAME_SIZE_MS,
        )
        if not self._input_text.strip():
            return
        timeout_s = self._conn_options.timeout
        async with self._retry_after.heeded(timeout_s):
            with LiveKitErrors(), Reported(self._tts, "synthesize", request_id) as timing:
                async with Deadline(timeout_s) as deadline:
                    await self._speak(output_emitter, deadline, timing)

    async def _speak(
        self, output_emitter: AudioEmitter, deadline: Deadline, timing: Timing
    ) -> None:
        options = self._options
        stream = await self._speko.synthesize_stream(
            self._input_text,
            language=options.intent.language,
            region=options.intent.region,
            optimize_for=options.intent.optimize_for,
            voice=options.voice,
            speed=options.speed,
            instructions=options.instructions,
            spoken_form=options.spoken_form,
            constraints=build_constraints(options.constraints),
            session_id=options.session_id,
        )
        timing.route = stream
        if timing.connected_s is not None and timing.connection_reused is not None:
            self._acquire_time = timing.connected_s
            self._connection_reused = timing.connection_reused
        async with stream:
            audio = AudioFormat(
                content_type=stream.content_type,
                provider=stream.provider,
                sample_rate=options.sample_rate,
                convert=options.convert_audio,
            )
            async with closing(stream) as chunks, closing(decode(chunks, audio)) as decoded:
                await self._emit(decoded, output_emitter, deadline, timing)
                # What follows the samples of a WAV.
                await drain(chunks)

    async def _emit(
        self,
        decoded: AsyncIterator[bytes],
        output_emitter: AudioEmitter,
        deadline: Deadline,
        timing: Timing,
    ) -> None:
        """Emit what no earlier attempt has spoken."""
        spoken_bytes = self._spoken_samples * SAMPLE_BYTES
        came_bytes = 0
        async for pcm in decoded:
            if pcm:
                deadline.restart()
            new = pcm[max(0, spoken_bytes - came_bytes) :]
            came_bytes += len(pcm)
            if new:
                timing.note_output()
                output_emitter.push(new)
        if came_bytes <= spoken_bytes:
            # All of it was heard before; LiveKit takes an attempt without a frame for a failure.
            output_emitter.push(bytes(SAMPLE_BYTES))
