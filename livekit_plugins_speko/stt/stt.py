"""Speech-to-text through Speko."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from livekit.agents import APIConnectOptions, LanguageCode, stt, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr

from .._base import Client, SpekoClient, SpekoIdentity, Transcript, given
from .._call import Call, Calls
from .._checks import check_flag
from .._faults import livekit_errors
from .._text import is_speakable
from ..api.client import Speko
from ..api.limits import MAX_KEYWORDS
from ..api.options import TranscribeOptions
from ..api.recognition import StreamOptions
from ..api.reconnects import Bounds
from ..audio.wav import frames_to_wav
from ..intent import (
    ConstraintsLike,
    IntentLike,
    PipelineConstraints,
    validate_constraints,
    validate_intent,
)
from ..log import logger
from .recognize_stream import SAMPLE_RATE_HZ, SpekoRecognizeStream, StreamSettings

WORD_TIMES = frozenset({"deepgram", "elevenlabs", "smallest", "cartesia"})
"""Providers whose streaming transcripts have word times."""


class STTOptions(TranscribeOptions):
    """The options of `SpekoSTT`."""

    owner = "SpekoSTT"


class SpekoSTT(SpekoIdentity[STTOptions], stt.STT[Any]):
    """Recognises speech with the provider that Speko's router picks.

    By default it uploads whole utterances, so a session needs a VAD to find them:
    `create_speko_components` puts it into a `SpekoSTTAdapter` with one. With ``streaming=True``
    it recognises while the caller speaks: `stream`. Sessions may share it, but for the session
    keyterms, which belong to the session that set them last.
    """

    def __init__(
        self,
        *,
        speko: SpekoClient | None = None,
        intent: IntentLike,
        constraints: ConstraintsLike | None = None,
        session_id: str | None = None,
        keywords: Sequence[str] | None = None,
        stt_language: str | None = None,
        prompt: str | None = None,
        streaming: bool = False,
        interim_results: bool = True,
    ) -> None:
        """Check the options; open nothing.

        Args:
            speko: The client: `Speko`, or ``AsyncSpeko`` of the official SDK. It stays the
                caller's. Default: a `Speko` of its own, made of ``SPEKO_API_KEY`` and
                ``SPEKO_BASE_URL``, which `aclose` closes.
            intent: Language, region and goal to route by.
            constraints: Providers that the router may choose from.
            session_id: Session that the calls are attributed to.
            keywords: Words to listen for (names, products), 200 at most; case is kept. LiveKit's
                session keyterms join them.
            stt_language: Language given to the provider, where it differs from the intent's, which
                remains the one to route by. Blank is none.
            prompt: Context of the conversation for providers that take it, 2000 characters at
                most.
            streaming: Recognise while the caller speaks, over a WebSocket. `recognize` remains.
            interim_results: Report the text of a segment while it is being said, where
                `streaming`. Without it the service gives no word times either.

        Raises:
            ValueError: An intent, constraints or an option that cannot be used; or no `speko` and
                no usable key in the environment.
            TypeError: `speko` is no async client, or one that cannot stream where `streaming`.
        """
        check_flag("SpekoSTT: streaming", streaming)
        check_flag("SpekoSTT: interim_results", interim_results)
        constraints = validate_constraints(constraints)
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=bool(streaming),
                interim_results=bool(streaming and interim_results),
                aligned_transcript=_alignment(constraints) if streaming else False,
                offline_recognize=True,
                keyterms=True,
                manual_flush=bool(streaming),
            )
        )
        self._label = "speko.STT"
        self._client = Client(speko, "SpekoSTT")
        # The client that streams. None unless `streaming`.
        self._streamer = _require_streamer(self._client.speko) if streaming else None
        self._interim_results = interim_results
        # Bounds of the streams' connections.
        self._bounds = Bounds()
        self._stream_calls = Calls(self, "transcribe_stream")
        # The streams that may be open, whose options may change, and the language that each was
        # opened with, or None.
        self._streams: weakref.WeakKeyDictionary[SpekoRecognizeStream, str | None]
        self._streams = weakref.WeakKeyDictionary()
        # True with a client that reports interim transcripts while it waits for the final one.
        self._has_interims = self._client.takes("transcribe", "on_interim")
        self._calls = Calls(self, "transcribe", span="stt_request")
        # Keyterms that LiveKit set for the session, beside the user's own keywords.
        self._session_keyterms: tuple[str, ...] = ()
        self._use(
            STTOptions(
                intent=validate_intent(intent),
                constraints=constraints,
                session_id=session_id,
                keywords=keywords,
                stt_language=stt_language,
                prompt=prompt,
            )
        )

    @property
    def wrapped_stt(self) -> SpekoSTT:
        """This object, so that `SpekoComponents.stt` has its `SpekoSTT` here in every form."""
        return self

    def update_options(
        self,
        *,
        intent: NotGivenOr[IntentLike] = NOT_GIVEN,
        keywords: NotGivenOr[Sequence[str] | None] = NOT_GIVEN,
        stt_language: NotGivenOr[str | None] = NOT_GIVEN,
        prompt: NotGivenOr[str | None] = NOT_GIVEN,
    ) -> None:
        """Change options from the next call on; of a stream, at the end of what is being said.

        Args:
            intent: As in the constructor, and likewise the others.
            keywords: None removes them.
            stt_language: None removes it.
            prompt: None removes it.

        Raises:
            ValueError: A value that cannot be used. Nothing has changed then.
        """
        changed = given(intent=intent, keywords=keywords, stt_language=stt_language, prompt=prompt)
        self._use(replace(self._options, **changed))

    def _use(self, options: STTOptions) -> None:
        self._options = options
        with_keyterms = replace(options, keywords=self._keywords())
        self._request = self._client.request("transcribe", with_keyterms.request())
        self._renew_streams()

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> SpekoRecognizeStream:
        """Open a stream for one caller's audio, with ``streaming=True``.

        Args:
            language: Language of this stream for the provider and its transcripts. Default:
                `stt_language`, and the intent's.
            conn_options: Its `timeout` bounds the attempts to connect again. They are made inside
                of the stream, so `max_retry` has no effect.

        Raises:
            NotImplementedError: Without ``streaming=True``. The text names the alternatives.
        """
        if self._streamer is None:
            raise NotImplementedError(
                "SpekoSTT recognises whole utterances and has no stream(). Pass streaming=True, "
                "wrap it with stt.StreamAdapter(stt=..., vad=...), or use "
                "create_speko_components(), which does so."
            )
        requested = language if utils.is_given(language) and language else None
        stream = SpekoRecognizeStream(
            recognizer=self,
            sockets=self._streamer.sockets,
            options=self._stream_options(requested),
            settings=StreamSettings(
                language=requested,
                is_aligned=self.capabilities.aligned_transcript == "word",
                bounds=self._bounds,
            ),
            calls=self._stream_calls,
            conn_options=conn_options,
        )
        self._streams[stream] = requested
        return stream

    def _stream_options(self, language: str | None) -> StreamOptions:
        options = self._options
        keywords = self._keywords()
        return StreamOptions(
            intent=options.intent,
            constraints=options.constraints,
            session_id=options.session_id,
            keywords=None if keywords is None else tuple(keywords),
            stt_language=language or options.stt_language,
            prompt=options.prompt,
            sample_rate=SAMPLE_RATE_HZ,
            interim_results=self._interim_results,
        )

    def _renew_streams(self) -> None:
        for stream, language in list(self._streams.items()):
            stream.renew(self._stream_options(language))

    def _update_session_keyterms(self, keyterms: list[str]) -> None:
        self._session_keyterms = tuple(term for term in keyterms if term.strip())
        self._use(self._options)

    def _keywords(self) -> list[str] | None:
        """Return the user's keywords, then the session's, each once, as many as may be sent."""
        words = list(dict.fromkeys((*(self._options.keywords or ()), *self._session_keyterms)))
        if len(words) > MAX_KEYWORDS:
            logger.debug(
                "more keywords than the service takes, the last ones are left out",
                extra={"keywords": len(words), "most": MAX_KEYWORDS},
            )
        return words[:MAX_KEYWORDS] or None

    def prewarm(self) -> None:
        """Open the client's connection before the first call needs it, once for each client."""
        self._client.prewarm()

    async def aclose(self) -> None:
        """Close the client if it was made here."""
        await self._client.aclose()

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        options, request = self._options, self._request
        requested = language if utils.is_given(language) and language else None
        if requested is not None:
            request = {**request, "stt_language": requested}
        request_id = utils.shortuuid("speko_stt_")
        with livekit_errors():
            wav = frames_to_wav(buffer)
        async with self._calls.open(request_id, conn_options.timeout) as call:
            result = await self._transcribe(wav, request, call)
        return stt.SpeechEvent(
            type=stt.SpeechEventType.FINAL_TRANSCRIPT,
            request_id=request_id,
            alternatives=[
                stt.SpeechData(
                    language=LanguageCode(requested or options.intent.language),
                    # "." and "♪" are what some providers make of noise.
                    text=result.text if is_speakable(result.text) else "",
                    confidence=1.0 if result.confidence is None else result.confidence,
                )
            ],
        )

    async def _transcribe(self, wav: bytes, request: dict[str, Any], call: Call) -> Transcript:
        if self._has_interims:
            # A long utterance may take the service longer than a caller would wait in silence.
            request = {**request, "on_interim": lambda text: call.output() if text else None}
        result = await self._client.speko.transcribe(wav, **request)
        call.served_by(result)
        call.output()
        return result


def _require_streamer(client: SpekoClient) -> Speko:
    """Return the client as one that can stream.

    Raises:
        TypeError: It cannot.
    """
    if isinstance(client, Speko):
        return client
    raise TypeError(
        f"SpekoSTT: streaming=True needs a Speko client, got {type(client).__name__}, which has no "
        "streaming recognition. Pass Speko(api_key=...), or leave streaming off."
    )


def _alignment(constraints: PipelineConstraints | None) -> Literal["word", False]:
    """Return "word" if the only provider allowed has word times."""
    allowed = constraints.allowed_providers.get("stt", ()) if constraints is not None else ()
    providers = {entry.partition(":")[0].strip().lower() for entry in allowed}
    return "word" if len(providers) == 1 and providers <= WORD_TIMES else False
