"""Speech-to-text through Speko."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from livekit.agents import APIConnectOptions, LanguageCode, stt, utils
from livekit.agents.telemetry import tracer
from livekit.agents.types import NOT_GIVEN, NotGivenOr

from .._aio import Deadline
from .._base import SpekoClient, prewarm, require_client
from .._checks import check_session_id, check_text, check_words
from .._faults import LiveKitErrors
from .._identity import SpekoIdentity
from .._reporting import Reported
from .._retry_after import RetryAfter
from ..api.client import Speko
from ..api.requests import MAX_KEYWORDS, build_constraints
from ..api.timing import Timing
from ..audio.wav import frames_to_wav
from ..intent import (
    ConstraintsLike,
    Intent,
    IntentLike,
    PipelineConstraints,
    validate_constraints,
    validate_intent,
)
from ..log import logger


@dataclass(frozen=True)
class _Options:
    intent: Intent
    constraints: PipelineConstraints | None
    session_id: str | None
    keywords: tuple[str, ...]
    stt_language: str | None


class SpekoSTT(SpekoIdentity, stt.STT[Any]):
    """Recognises one utterance at a time, with the provider that Speko's router picks.

    It uploads whole utterances, so a session needs a VAD that cuts them out:
    `create_speko_components` puts it into a `SpekoSTTAdapter` with one. It owns nothing;
    the client stays the caller's. Sessions may share it, but for the session keyterms, which
    belong to the session that set them last.
    """

    def __init__(
        self,
        *,
        speko: SpekoClient,
        intent: IntentLike,
        constraints: ConstraintsLike | None = None,
        session_id: str | None = None,
        keywords: Sequence[str] | None = None,
        stt_language: str | None = None,
    ) -> None:
        """Check the options; open nothing.

        Args:
            speko: The client: `Speko`, or ``AsyncSpeko`` of the official SDK.
            intent: What to route by.
            constraints: Providers that the router may choose from.
            session_id: Session to book the calls to.
            keywords: Words to listen for (names, products), 200 at most; case is kept. LiveKit's
                session keyterms join them.
            stt_language: Language told to the provider, where it differs from the intent's, which
                stays the one to route by.

        Raises:
            ValueError: An intent, constraints or keywords that can't be used.
            TypeError: `speko` is no async client.
        """
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=False, interim_results=False, offline_recognize=True, keyterms=True
            )
        )
        self._label = "speko.STT"
        self._speko = require_client(speko, "SpekoSTT")
        check_words("SpekoSTT: keywords", keywords, most=MAX_KEYWORDS)
        check_text("SpekoSTT: stt_language", stt_language)
        check_session_id("SpekoSTT: session_id", session_id)
        self._options = _Options(
            intent=validate_intent(intent),
            constraints=validate_constraints(constraints),
            session_id=session_id,
            keywords=tuple(keywords or ()),
            stt_language=stt_language,
        )
        self._retry_after = RetryAfter()
        # LiveKit's keyterms for the session, beside the user's own keywords.
        self._session_keyterms: tuple[str, ...] = ()

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions | None = None,
    ) -> NoReturn:
        """Not supported.

        Raises:
            NotImplementedError: Always. The text says what to use.
        """
        raise NotImplementedError(
            "SpekoSTT recognises whole utterances and has no stream(). Wrap it with "
            "stt.StreamAdapter(stt=..., vad=...), or use create_speko_components(), which does so."
        )

    def _update_session_keyterms(self, keyterms: list[str]) -> None:
        self._session_keyterms = tuple(term for term in keyterms if term.strip())

    def _keywords(self) -> list[str] | None:
        """The user's keywords, then the session's, each once, as many as the service takes."""
        words = list(dict.fromkeys((*self._options.keywords, *self._session_keyterms)))
        if len(words) > MAX_KEYWORDS:
            logger.debug(
                "more keywords than the service takes, the last ones are left out",
                extra={"keywords": len(words), "most": MAX_KEYWORDS},
            )
        return words[:MAX_KEYWORDS] or None

    def prewarm(self) -> None:
        """Open the client's connection before the first call needs it, once for each client."""
        prewarm(self._speko)

    def _progress_to(self, deadline: Deadline, timing: Timing) -> dict[str, Any]:
        """Let interim transcripts count as output, with the client that tells of them.

        A long utterance may take the service longer than a caller would wait for silence.
        """
        if not isinstance(self._speko, Speko):
            return {}

        def on_interim(text: str) -> None:
            if text:
                deadline.restart()
                timing.note_output()

        return {"on_interim": on_interim}

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        asked = language if utils.is_given(language) and language else None
        request_id = utils.shortuuid("speko_stt_")
        async with self._retry_after.heeded(conn_options.timeout):
            with LiveKitErrors():
                wav = frames_to_wav(buffer)
                with tracer.start_as_current_span("stt_request"):
                    result = await self._transcribe(wav, asked, conn_options.timeout, request_id)
        return stt.SpeechEvent(
            type=stt.SpeechEventType.FINAL_TRANSCRIPT,
            request_id=request_id,
            alternatives=[
                stt.SpeechData(
                    language=LanguageCode(asked or self._options.intent.language),
                    text=result.text,
                    confidence=1.0 if result.confidence is None else result.confidence,
                )
            ],
        )

    async def _transcribe(
        self, wav: bytes, asked: str | None, timeout_s: float, request_id: str
    ) -> Any:
        options = self._options
        with Reported(self, "transcribe", request_id) as timing:
            async with Deadline(timeout_s) as deadline:
                result = await self._speko.transcribe(
                    wav,
                    language=options.intent.language,
                    region=options.intent.region,
                    optimize_for=options.intent.optimize_for,
                    content_type="audio/wav",
                    constraints=build_constraints(options.constraints),
                    session_id=options.session_id,
                    keywords=self._keywords(),
                    stt_language=asked or options.stt_language,
                    **self._progress_to(deadline, timing),
                )
                timing.route = result
                timing.note_output()
                return result
