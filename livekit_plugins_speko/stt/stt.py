"""Speech-to-text through Speko."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

from livekit.agents import APIConnectOptions, LanguageCode, stt, utils
from livekit.agents.types import NOT_GIVEN, NotGivenOr

from .._base import Client, SpekoClient, SpekoIdentity, Transcript, given
from .._call import Call, Calls
from .._faults import livekit_errors
from .._text import is_speakable
from ..api.limits import MAX_KEYWORDS
from ..api.options import TranscribeOptions
from ..audio.wav import frames_to_wav
from ..intent import (
    ConstraintsLike,
    IntentLike,
    validate_constraints,
    validate_intent,
)
from ..log import logger


class STTOptions(TranscribeOptions):
    """The options of `SpekoSTT`."""

    owner = "SpekoSTT"


class SpekoSTT(SpekoIdentity, stt.STT[Any]):
    """Recognises one utterance at a time, with the provider that Speko's router picks.

    It uploads whole utterances, so a session needs a VAD to find them: `create_speko_components`
    puts it into a `SpekoSTTAdapter` with one. Sessions may share it, but for the session keyterms,
    which belong to the session that set them last.
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

        Raises:
            ValueError: An intent, constraints or an option that cannot be used; or no `speko` and
                no usable key in the environment.
            TypeError: `speko` is no async client.
        """
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=False, interim_results=False, offline_recognize=True, keyterms=True
            )
        )
        self._label = "speko.STT"
        self._client = Client(speko, "SpekoSTT")
        # True with a client that reports interim transcripts while it waits for the final one.
        self._has_interims = self._client.takes("transcribe", "on_interim")
        self._calls = Calls(self, "transcribe", span="stt_request")
        # Keyterms that LiveKit set for the session, beside the user's own keywords.
        self._session_keyterms: tuple[str, ...] = ()
        self._use(
            STTOptions(
                intent=validate_intent(intent),
                constraints=validate_constraints(constraints),
                session_id=session_id,
                keywords=keywords,
                stt_language=stt_language,
                prompt=prompt,
            )
        )

    def update_options(
        self,
        *,
        intent: NotGivenOr[IntentLike] = NOT_GIVEN,
        keywords: NotGivenOr[Sequence[str] | None] = NOT_GIVEN,
        stt_language: NotGivenOr[str | None] = NOT_GIVEN,
        prompt: NotGivenOr[str | None] = NOT_GIVEN,
    ) -> None:
        """Change options from the next call on.

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

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions | None = None,
    ) -> NoReturn:
        """Not supported.

        Raises:
            NotImplementedError: Always. The text names the alternatives.
        """
        raise NotImplementedError(
            "SpekoSTT recognises whole utterances and has no stream(). Wrap it with "
            "stt.StreamAdapter(stt=..., vad=...), or use create_speko_components(), which does so."
        )

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
