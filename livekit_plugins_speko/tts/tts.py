"""Text-to-speech through Speko."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any, NoReturn

from livekit.agents import APIConnectOptions, tts, utils
from livekit.agents.tts import AudioEmitter
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr

from .._aio import close_all, closing
from .._base import Client, SpekoClient, SpekoIdentity, given
from .._call import Call, Calls
from .._checks import check_flag, check_rate
from .._text import is_speakable
from ..api.options import SynthesizeOptions
from ..api.response import LATE_ERRORS, drain
from ..api.synthesis import SynthesizeStream
from ..audio.decoding import Late, decode
from ..audio.pcm import DEFAULT_SAMPLE_RATE, SAMPLE_RATES_HZ, AudioFormat
from ..intent import (
    ConstraintsLike,
    IntentLike,
    validate_constraints,
    validate_intent,
)
from .emission import Emission, push_silence


class TTSOptions(SynthesizeOptions):
    """The options of `SpekoTTS` that each request has."""

    owner = "SpekoTTS"


class SpekoTTS(SpekoIdentity[TTSOptions], tts.TTS[Any]):
    """Speaks one text at a time, with the voice that Speko's router picks.

    A session passes text on as the model writes it: `create_speko_components` puts this class into
    a `SpekoTTSAdapter`, which cuts the text into sentences. It owns the streams it has made.
    Sessions may share it.
    """

    def __init__(
        self,
        *,
        speko: SpekoClient | None = None,
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
            speko: The client: `Speko`, or ``AsyncSpeko`` of the official SDK. It stays the
                caller's. Default: a `Speko` of its own, made of ``SPEKO_API_KEY`` and
                ``SPEKO_BASE_URL``, which `aclose` closes.
            intent: Language, region and goal to route by.
            voice: Voice of the provider. None and blank leave it to Speko.
            speed: Factor from 0.5 to 2; 1.0 is the voice's own.
            sample_rate: Sample rate of the emitted audio in Hz, mono. Most providers send the
                default.
            instructions: How to say it, for providers that take such. Blank is none.
            constraints: Providers that the router may choose from.
            session_id: Session that the calls are attributed to.
            spoken_form: Let Speko turn numbers and markdown into spoken words first.
            convert_audio: Convert audio of another rate, of two channels, or compressed. Without
                it such audio is an error, and the sentence is lost: set it where a failover may
                change the provider in the middle of a call.

        Raises:
            ValueError: An option that cannot be used; or no `speko` and no usable key in the
                environment.
            TypeError: `speko` is no async client.
        """
        check_rate("SpekoTTS: sample_rate", sample_rate, SAMPLE_RATES_HZ)
        check_flag("SpekoTTS: spoken_form", spoken_form)
        check_flag("SpekoTTS: convert_audio", convert_audio)
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False),
            sample_rate=sample_rate,
            num_channels=1,
        )
        self._label = "speko.TTS"
        self._client = Client(speko, "SpekoTTS")
        self._calls = Calls(self, "synthesize")
        # Streams that are still referenced.
        self._streams: weakref.WeakSet[SpekoTTSChunkedStream] = weakref.WeakSet()
        self._convert_audio = convert_audio
        self._use(
            TTSOptions(
                intent=validate_intent(intent),
                voice=voice,
                speed=speed,
                instructions=instructions,
                constraints=validate_constraints(constraints),
                session_id=session_id,
                spoken_form=spoken_form,
            )
        )

    def update_options(
        self,
        *,
        intent: NotGivenOr[IntentLike] = NOT_GIVEN,
        voice: NotGivenOr[str | None] = NOT_GIVEN,
        speed: NotGivenOr[float | None] = NOT_GIVEN,
        instructions: NotGivenOr[str | None] = NOT_GIVEN,
    ) -> None:
        """Change options from the next call on.

        Args:
            intent: As in the constructor, and likewise the others.
            voice: None leaves it to Speko.
            speed: None is the voice's own.
            instructions: None removes them.

        Raises:
            ValueError: A value that cannot be used. Nothing has changed then.
        """
        changed = given(intent=intent, voice=voice, speed=speed, instructions=instructions)
        self._use(replace(self._options, **changed))

    def _use(self, options: TTSOptions) -> None:
        self._options = options
        self._request = self._client.request("synthesize_stream", options.request())

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> SpekoTTSChunkedStream:
        """Speak a text; the audio streams.

        Args:
            text: The text. One without a letter or digit is nothing to say, and makes no request.
            conn_options: ``timeout`` bounds, in seconds, the wait for the first audio and each
                pause after it, never the whole utterance.
        """
        stream = SpekoTTSChunkedStream(tts=self, input_text=text, conn_options=conn_options)
        self._streams.add(stream)
        return stream

    def stream(self, *, conn_options: APIConnectOptions | None = None) -> NoReturn:
        """Not supported.

        Raises:
            NotImplementedError: Always. The text names the alternatives.
        """
        raise NotImplementedError(
            "SpekoTTS speaks whole texts and has no stream(). Wrap it with "
            "tts.StreamAdapter(tts=..., sentence_tokenizer=...), or use "
            "create_speko_components(), which does so."
        )

    def prewarm(self) -> None:
        """Open the client's connection before the first call needs it, once for each client."""
        self._client.prewarm()

    async def aclose(self) -> None:
        """Stop every stream, and close the client if it was made here."""
        streams = list(self._streams)
        await close_all(*(stream.aclose for stream in streams), self._client.aclose)


class SpekoTTSChunkedStream(tts.ChunkedStream):
    """One text being spoken, made by `SpekoTTS.synthesize`.

    It yields int16 mono frames at the TTS's sample rate as the audio arrives: the first 0.2 s in
    frames of at most 20 ms, later ones of what has arrived by then, at most 100 ms. The last one is
    marked final. When synthesis fails in the middle and LiveKit retries it, the retry
    continues at the sample where the audio stopped. Nothing is said twice then, as long as the same
    voice renders it: another provider's has its words at other places.
    """

    def __init__(self, *, tts: SpekoTTS, input_text: str, conn_options: APIConnectOptions) -> None:
        """Begin to speak. `SpekoTTS.synthesize` does that."""
        super().__init__(tts=tts, input_text=input_text, conn_options=conn_options)
        self._speko = tts._client.speko
        self._calls = tts._calls
        self._convert_audio = tts._convert_audio
        self._request = tts._request
        # Samples that earlier attempts have emitted.
        self._spoken_samples = 0
        # The emitter of the attempt before this one. None in the first.
        self._last_emitter: AudioEmitter | None = None

    async def _run(self, output_emitter: AudioEmitter) -> None:
        if self._last_emitter is not None:
            spoken_s = self._last_emitter.pushed_duration()
            self._spoken_samples += round(spoken_s * self._tts.sample_rate)
        self._last_emitter = output_emitter
        request_id = utils.shortuuid("speko_tts_")
        output_emitter.initialize(
            request_id=request_id,
            sample_rate=self._tts.sample_rate,
            num_channels=1,
            mime_type="audio/pcm",
        )
        if not is_speakable(self._input_text):
            if self._input_text.strip():
                push_silence(output_emitter)
            return
        async with self._calls.open(request_id, self._conn_options.timeout) as call:
            await self._speak(output_emitter, call)

    async def _speak(self, output_emitter: AudioEmitter, call: Call) -> None:
        stream = await self._speko.synthesize_stream(self._input_text, **self._request)
        call.served_by(stream)
        timing = call.timing
        if timing.connected_s is not None and timing.connection_reused is not None:
            self._acquire_time = timing.connected_s
            self._connection_reused = timing.connection_reused
        async with stream:
            audio = AudioFormat(
                content_type=stream.content_type,
                provider=stream.provider,
                sample_rate=self._tts.sample_rate,
                convert=self._convert_audio,
            )
            # Half of the patience, so that a wait for more never ends as a timeout of the call.
            late = Late(min(Late.seconds, self._conn_options.timeout / 2), LATE_ERRORS)
            async with closing(stream) as chunks, closing(decode(chunks, audio, late)) as decoded:
                emission = Emission(
                    output_emitter,
                    sample_rate=self._tts.sample_rate,
                    spoken_samples=self._spoken_samples,
                    pause=stream.pause if isinstance(stream, SynthesizeStream) else None,
                )
                async for pcm in decoded:
                    call.progress()
                    emission.push(pcm)
                    if emission.began:
                        call.timing.note_output()
                emission.flush()
                # What follows the samples of a WAV.
                await drain(chunks)
