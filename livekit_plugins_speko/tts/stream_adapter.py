"""A reply's sentences, each asked for before its turn to be heard comes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from livekit.agents import APIConnectOptions, tokenize, tts, utils
from livekit.agents.tts import AudioEmitter
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.agents.voice.io import TimedString


class SpekoTTSAdapter(tts.StreamAdapter):
    """LiveKit's `tts.StreamAdapter`, with requests for sentences ahead of the one that is spoken.

    LiveKit's own asks for a sentence when all audio of the one before has come. A provider's wait
    for its first byte is then heard as a hole behind every sentence that is shorter than it, and,
    where audio comes no faster than it is played, behind every sentence at all. This one asks for
    a sentence as soon as its text is whole, for `prefetch` of them beyond the one whose audio is
    being handed on; what is heard, and the transcript's times, are the same.

    What it costs: ``prefetch + 1`` requests at a time, and up to `prefetch` sentences more that
    were asked for in vain when the caller barges in. Audio ahead is held until its turn: 2 bytes a
    sample, so 48 kB for each second of a sentence at 24000 Hz, mono. How long one sentence's audio
    may be is not bounded, here as in LiveKit, which holds what came of a reply until it is played.

    A sentence that fails ahead of its turn is heard of at its turn, as the stream's error, after
    everything before it was spoken; what was asked for behind it is cancelled. The wrapped TTS
    itself emits its ``error`` and ``metrics_collected`` when they happen, so those of a later
    sentence may come first, and a request that is cancelled ahead of its turn counts as cancelled.

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
            prefetch: How many sentences to ask for ahead. 1 closes the hole behind a sentence; more
                help where several short ones follow each other and the provider is slow. 0 is
                LiveKit's own behaviour, for a provider that takes one request at a time.

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
        self._prefetch = prefetch
        self._wrapped_tts.on("route", self._on_route)

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.StreamAdapterWrapper:
        """Speak a text that is pushed in pieces, sentence by sentence.

        Args:
            conn_options: For each sentence's request. ``timeout`` is in seconds.
        """
        if self._prefetch == 0:
            return super().stream(conn_options=conn_options)
        return _StreamAhead(adapter=self, conn_options=conn_options, prefetch=self._prefetch)

    async def aclose(self) -> None:
        """Hand on no more events of the wrapped TTS, which stays open."""
        self._wrapped_tts.off("route", self._on_route)
        await super().aclose()

    def _on_route(self, *args: Any) -> None:
        self.emit("route", *args)


@dataclass(frozen=True)
class _Sentence:
    # As the tokenizer cut it, for the transcript.
    token: str
    # Its audio as it comes. None where there is nothing in it to be said.
    audio: tts.ChunkedStream | None


class _StreamAhead(tts.StreamAdapterWrapper):
    """One reply. Three tasks: one feeds the tokenizer, one asks, one hands audio on in order."""

    def __init__(
        self, *, adapter: SpekoTTSAdapter, conn_options: APIConnectOptions, prefetch: int
    ) -> None:
        super().__init__(tts=adapter, conn_options=conn_options)
        # How many requests may be begun: for the sentence whose turn it is, and those ahead of it.
        self._free = asyncio.Semaphore(1 + prefetch)
        # What was asked for and has not had its turn. Closed when nothing more is asked for.
        self._asked = utils.aio.Chan[_Sentence]()
        # Every request that was begun and isn't closed.
        self._open: set[tts.ChunkedStream] = set()

    async def _run(self, output_emitter: AudioEmitter) -> None:
        lowering = bool(self._tts._wrapped_tts.markup._provider_key()) and self._expressive
        sentences = self._tts._tokenizer_for(lowering=lowering).stream()
        output_emitter.initialize(
            request_id=utils.shortuuid(),
            sample_rate=self._tts.sample_rate,
            num_channels=self._tts.num_channels,
            mime_type="audio/pcm",
            stream=True,
        )
        output_emitter.start_segment(segment_id=utils.shortuuid())
        asking = asyncio.create_task(self._ask(sentences, lowering))
        asking.add_done_callback(lambda _: self._asked.close())
        feeding = asyncio.create_task(self._feed(sentences, lowering))
        speaking = asyncio.create_task(self._speak(asking, output_emitter))
        try:
            done, _ = await asyncio.wait((feeding, speaking), return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            await self._stop(sentences, asking, feeding, speaking)

    async def _feed(self, sentences: tokenize.SentenceStream, lowering: bool) -> None:
        markup = self._tts._wrapped_tts.markup
        async for text in self._input_ch:
            if isinstance(text, self._FlushSentinel):
                sentences.flush()
            else:
                sentences.push_text(markup.normalize(text) if lowering else text)
        sentences.end_input()

    async def _ask(self, sentences: tokenize.SentenceStream, lowering: bool) -> None:
        async for sentence in sentences:
            text = sentence.token.strip()
            if text and lowering:
                # Pieces of the input were normalized one by one; a marker may span two of them.
                markup = self._tts._wrapped_tts.markup
                text = markup.convert(markup.normalize(text)).strip()
            audio = await self._begin(text) if text else None
            self._asked.send_nowait(_Sentence(sentence.token, audio))

    async def _begin(self, text: str) -> tts.ChunkedStream:
        """Ask for a sentence, as soon as there may be one request more."""
        await self._free.acquire()
        self._mark_started()
        audio = self._tts._wrapped_tts.synthesize(text, conn_options=self._wrapped_tts_conn_options)
        self._open.add(audio)
        return audio

    async def _speak(self, asking: asyncio.Task[None], output_emitter: AudioEmitter) -> None:
        spoken_s = 0.0
        async for sentence in self._asked:
            output_emitter.push_timed_transcript(
                TimedString(text=sentence.token, start_time=spoken_s)
            )
            if sentence.audio is not None:
                spoken_s += await self._hand_on(sentence.audio, output_emitter)
        await asking  # what made it end early is told when all before that was spoken

    async def _hand_on(self, audio: tts.ChunkedStream, output_emitter: AudioEmitter) -> float:
        """Hand a sentence's audio on as it comes; return how many seconds it was."""
        duration_s = 0.0
        async with audio:
            async for event in audio:
                output_emitter.push_frame(event.frame)
                duration_s += event.frame.duration
            output_emitter.flush()
        self._open.discard(audio)
        self._free.release()
        return duration_s

    async def _stop(self, sentences: tokenize.SentenceStream, *tasks: asyncio.Task[None]) -> None:
        """Cancel whatever is still going on, all of it before the first wait; then close it.

        Nobody is left to be told of what has failed by then: cancelling it says so to asyncio.
        """
        # LiveKit has no way to cancel a stream without waiting for it, but for its task.
        requests = [audio._synthesize_task for audio in self._open]
        async with AsyncExitStack() as stack:
            for audio in self._open:
                stack.push_async_callback(audio.aclose)
            stack.push_async_callback(sentences.aclose)
            stack.push_async_callback(utils.aio.cancel_and_wait, *tasks, *requests)
