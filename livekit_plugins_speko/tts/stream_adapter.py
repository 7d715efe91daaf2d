"""A reply's sentences, each requested before its turn to be spoken comes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from livekit.agents import APIConnectOptions, tokenize, tts, utils
from livekit.agents.tts import AudioEmitter
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.agents.voice.io import TimedString

from .._livekit import LiveKitChanged, is_expressive, warn_turned_off
from .._text import is_speakable

SILENCE_S = 0.01
"""Audio of a reply in which there is nothing to say, in seconds."""


class SpekoTTSAdapter(tts.StreamAdapter):
    """LiveKit's `tts.StreamAdapter`, with requests for sentences ahead of the one that is spoken.

    LiveKit's own requests a sentence when all audio of the one before has come. A provider's wait
    for its first byte is then heard as a gap after every sentence that is shorter than it, and,
    where audio comes no faster than it is played, after every sentence. This one requests a
    sentence as soon as its text is complete, for `prefetch` of them beyond the one whose audio is
    being forwarded; the audio, and the transcript's times, are the same. A sentence without a
    letter or a digit makes no request.

    The cost: ``prefetch + 1`` requests at a time, and up to `prefetch` sentences more that are
    wasted when the caller barges in. Audio ahead is held until its turn: 2 bytes a sample, so 48 kB
    for each second of a sentence at 24000 Hz, mono. The length of one sentence's audio is not
    bounded, here as in LiveKit, which holds what came of a reply until it is played.

    A sentence that fails ahead of its turn is reported at its turn, as the stream's error, after
    everything before it was spoken; the requests after it are cancelled. The wrapped TTS itself
    emits its ``error`` and ``metrics_collected`` when they happen, so those of a later sentence may
    come first, and a request that is cancelled ahead of its turn counts as cancelled.

    There is no ``text_pacing``: it holds sentences back, which is the opposite. The wrapped TTS
    stays the caller's, and so does the tokenizer. Sessions may share the adapter.
    """

    def __init__(
        self,
        *,
        tts: tts.TTS[Any],
        sentence_tokenizer: tokenize.SentenceTokenizer,
        prefetch: int = 1,
    ) -> None:
        """Check the options; open nothing.

        Args:
            tts: Speaks one sentence a request. Its events ``metrics_collected`` and ``route`` are
                emitted by the adapter too, until `aclose`.
            sentence_tokenizer: Cuts a reply into sentences.
            prefetch: How many sentences to request ahead. 1 closes the gap after a sentence; more
                help where several short ones follow each other and the provider is slow. 0 requests
                one at a time, as LiveKit's own adapter, for a provider that takes no more.

        Raises:
            ValueError: `prefetch` is no whole number, or below 0.
            TypeError: `sentence_tokenizer` is none.
        """
        if isinstance(prefetch, bool) or not isinstance(prefetch, int) or prefetch < 0:
            raise ValueError(
                f"SpekoTTSAdapter: prefetch must be a whole number, 0 or more, got {prefetch!r}."
            )
        if not isinstance(sentence_tokenizer, tokenize.SentenceTokenizer):
            raise TypeError(
                "SpekoTTSAdapter: sentence_tokenizer must be a SentenceTokenizer of "
                f"livekit.agents.tokenize, got {type(sentence_tokenizer).__name__}."
            )
        super().__init__(tts=tts, sentence_tokenizer=sentence_tokenizer)
        self._voice = tts
        self._tokenizer = sentence_tokenizer
        self._prefetch = prefetch
        # True after the warning that markup cannot be converted.
        self._warned = False
        self._voice.on("route", self._on_route)

    @property
    def wrapped_tts(self) -> tts.TTS[Any]:
        """The TTS that speaks the sentences."""
        return self._voice

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.StreamAdapterWrapper:
        """Speak a text that is pushed in pieces, sentence by sentence.

        Args:
            conn_options: For each sentence's request. ``timeout`` is in seconds.
        """
        parts = _Parts(
            voice=self._voice,
            tokenizer=self._tokenizer,
            prefetch=self._prefetch,
            has_markup=self._has_markup(),
        )
        return _StreamAhead(self, parts, conn_options=conn_options)

    async def aclose(self) -> None:
        """Emit no more events of the wrapped TTS, which stays open."""
        self._voice.off("route", self._on_route)
        await super().aclose()

    def _has_markup(self) -> bool:
        try:
            return is_expressive(self._voice)
        except LiveKitChanged as change:
            if not self._warned:
                self._warned = True
                warn_turned_off(
                    "expressive markup is not converted for the wrapped TTS, which may speak it "
                    "as words: this version of livekit-agents hides when there is some. Leave "
                    "`expressive` off, or look for a newer livekit-plugins-speko",
                    change,
                )
            return False

    def _on_route(self, *args: Any) -> None:
        self.emit("route", *args)


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """The parts of an adapter that one of its streams uses.

    Attributes:
        voice: Speaks one sentence a request.
        tokenizer: Cuts the reply into sentences.
        prefetch: How many sentences to request ahead.
        has_markup: The reply may contain LiveKit's markup, to be converted to the voice's.
    """

    voice: tts.TTS[Any]
    tokenizer: tokenize.SentenceTokenizer
    prefetch: int
    has_markup: bool


@dataclass(frozen=True, kw_only=True)
class _Sentence:
    # As the tokenizer cut it, for the transcript.
    token: str
    # Its audio as it comes. None where there is nothing in it to be said.
    audio: tts.ChunkedStream | None


class _StreamAhead(tts.StreamAdapterWrapper):
    """One reply. Three tasks: to feed the tokenizer, to request, and to forward audio in order."""

    def __init__(
        self, adapter: SpekoTTSAdapter, parts: _Parts, *, conn_options: APIConnectOptions
    ) -> None:
        super().__init__(tts=adapter, conn_options=conn_options)
        self._parts = parts
        self._request_options = conn_options
        # How many requests may be begun: for the sentence whose turn it is, and those ahead of it.
        self._free = asyncio.Semaphore(1 + parts.prefetch)
        # Requested sentences that have not had their turn. Closed after the last one.
        self._requested = utils.aio.Chan[_Sentence]()
        # Every request that was begun and isn't closed.
        self._open: set[tts.ChunkedStream] = set()
        # The reply's text so far.
        self._text = ""
        # How much was spoken, in seconds.
        self._spoken_s = 0.0

    async def _run(self, output_emitter: AudioEmitter) -> None:
        sentences = self._parts.tokenizer.stream()
        output_emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=self._parts.voice.sample_rate,
            num_channels=self._parts.voice.num_channels,
            mime_type="audio/pcm",
            stream=True,
        )
        output_emitter.start_segment(segment_id=utils.shortuuid())
        requesting = asyncio.create_task(self._request(sentences))
        requesting.add_done_callback(lambda _: self._requested.close())
        feeding = asyncio.create_task(self._feed(sentences))
        speaking = asyncio.create_task(self._speak(requesting, output_emitter))
        try:
            done, _ = await asyncio.wait((feeding, speaking), return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            await self._stop(sentences, requesting, feeding, speaking)

    async def _feed(self, sentences: tokenize.SentenceStream) -> None:
        async for text in self._input_ch:
            if isinstance(text, self._FlushSentinel):
                sentences.flush()
                continue
            self._text += text
            normalized = (
                self._parts.voice.markup.normalize(text) if self._parts.has_markup else text
            )
            sentences.push_text(normalized)
        sentences.end_input()

    async def _request(self, sentences: tokenize.SentenceStream) -> None:
        async for sentence in sentences:
            text = self._spoken_form(sentence.token)
            audio = await self._begin(text) if is_speakable(text) else None
            self._requested.send_nowait(_Sentence(token=sentence.token, audio=audio))

    def _spoken_form(self, token: str) -> str:
        """Return a sentence as the voice takes it."""
        text = token.strip()
        if text and self._parts.has_markup:
            # Pieces of the input were normalized one by one; a marker may span two of them.
            markup = self._parts.voice.markup
            text = markup.convert(markup.normalize(text)).strip()
        return text

    async def _begin(self, text: str) -> tts.ChunkedStream:
        """Request a sentence, as soon as there may be one request more."""
        await self._free.acquire()
        self._mark_started()
        audio = self._parts.voice.synthesize(text, conn_options=self._request_options)
        self._open.add(audio)
        return audio

    async def _speak(self, requesting: asyncio.Task[None], output_emitter: AudioEmitter) -> None:
        async for sentence in self._requested:
            output_emitter.push_timed_transcript(
                TimedString(text=sentence.token, start_time=self._spoken_s)
            )
            if sentence.audio is not None:
                await self._forward(sentence.audio, output_emitter)
        await requesting  # its error is raised after everything before it was spoken
        if self._text.strip() and not is_speakable(self._text):
            # LiveKit takes a reply with text and without audio for a failure.
            output_emitter.push(self._silence())

    def _silence(self) -> bytes:
        """Return int16 silence in the format of the reply."""
        frames = round(SILENCE_S * self._parts.voice.sample_rate)
        return bytes(2 * frames * self._parts.voice.num_channels)

    async def _forward(self, audio: tts.ChunkedStream, output_emitter: AudioEmitter) -> None:
        """Forward a sentence's audio as it comes."""
        async with audio:
            async for event in audio:
                output_emitter.push_frame(event.frame)
                self._spoken_s += event.frame.duration
            output_emitter.flush()
        self._open.discard(audio)
        self._free.release()

    async def _stop(self, sentences: tokenize.SentenceStream, *tasks: asyncio.Task[None]) -> None:
        """Cancel every task and request before the first wait; then wait for all of them.

        Their errors are dropped, as cancelling them makes asyncio do: the stream ends with an
        error of its own, or without one.
        """
        # They run as soon as this waits, and each first cancels its request.
        closing = [asyncio.create_task(audio.aclose()) for audio in self._open]
        async with AsyncExitStack() as stack:
            stack.push_async_callback(_finish, closing)
            stack.push_async_callback(sentences.aclose)
            stack.push_async_callback(utils.aio.cancel_and_wait, *tasks)


async def _finish(tasks: list[asyncio.Task[None]]) -> None:
    """Wait for every task, then raise the first error of theirs."""
    try:
        if tasks:
            await asyncio.wait(tasks)
    finally:
        await utils.aio.cancel_and_wait(*tasks)
    for task in tasks:
        task.result()
