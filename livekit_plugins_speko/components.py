"""One call creates an `AgentSession`'s STT, LLM and TTS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from livekit.agents import tokenize, vad

from ._aio import close_all
from ._base import SpekoClient
from .api.client import Speko
from .intent import ConstraintsLike, IntentLike, validate_constraints, validate_intent
from .llm.llm import SpekoLLM, warn_of_ignored
from .stt.stream_adapter import SpekoSTTAdapter
from .stt.stt import SpekoSTT
from .tts.first_words import FirstWordsTokenizer
from .tts.stream_adapter import SpekoTTSAdapter
from .tts.tokenizer import FirstWords, default_tokenizer
from .tts.tts import SpekoTTS

_LLM_OPTIONS = "temperature max_tokens tools reasoning_effort voice_optimized"
LLM_OPTIONS = tuple(_LLM_OPTIONS.split())
"""Options in `create_speko_components`'s ``llm``."""

_TTS_OPTIONS = "sample_rate speed instructions spoken_form convert_audio prefetch first_words"
TTS_OPTIONS = tuple(_TTS_OPTIONS.split())
"""Options in its ``tts_options``."""

_STT_OPTIONS = "keywords language prompt streaming interim_results eager eager_delay preflight"
STT_OPTIONS = tuple(_STT_OPTIONS.split())
"""Options in its ``stt_options``."""

FIRST_WORDS = ("off", "sentence", "clause")
"""Values of ``first_words``."""


class SpekoComponents(NamedTuple):
    """The STT, LLM and TTS of an `AgentSession`.

    Attributes:
        stt: A LiveKit `stt.StreamAdapter` around a `SpekoSTT` and the VAD; the `SpekoSTT` itself
            where it streams and is not eager.
        llm: A `SpekoLLM`.
        tts: A LiveKit `tts.StreamAdapter` around a `SpekoTTS` and the sentence tokenizer.
    """

    stt: SpekoSTTAdapter | SpekoSTT
    llm: SpekoLLM
    tts: SpekoTTSAdapter

    async def aclose(self) -> None:
        """Close the parts, what the adapters wrap, and a client that was made for them.

        A client that was passed in and the VAD stay open.
        """
        await close_all(
            self.stt.aclose,
            self.stt.wrapped_stt.aclose,
            self.tts.aclose,
            self.tts.wrapped_tts.aclose,
            self.llm.aclose,
        )


def create_speko_components(
    *,
    speko: SpekoClient | None = None,
    vad: vad.VAD,
    intent: IntentLike,
    voice: str | None = None,
    constraints: ConstraintsLike | None = None,
    sentence_tokenizer: tokenize.SentenceTokenizer | None = None,
    llm: Mapping[str, Any] | None = None,
    tts_options: Mapping[str, Any] | None = None,
    stt_options: Mapping[str, Any] | None = None,
    session_id: str | None = None,
    agent_id: str | None = None,
    on_registered_tools_error: Callable[[Exception], None] | None = None,
    api_base_url: str | None = None,
    api_key: str | None = None,
) -> SpekoComponents:
    """Create the parts of a session, with one intent and one set of constraints for all of them.

    Args:
        speko: The client: `Speko`, or ``AsyncSpeko`` of the official SDK. It stays the caller's.
            Default: a `Speko` made of ``SPEKO_API_KEY`` and ``SPEKO_BASE_URL``, which
            `SpekoComponents.aclose` closes.
        vad: Finds the caller's utterances in the audio, such as Silero's. It stays the caller's.
        intent: Language, region and goal to route by.
        voice: Voice of the provider.
        constraints: Providers that the router may choose from.
        sentence_tokenizer: Cuts a reply into sentences, and is used as it is. Default: LiveKit's
            own for a TTS that does not stream (blingfire with ``retain_format=True``), which here
            cuts nothing between a full stop and a digit, and no piece over 300 characters.
        llm: ``temperature``, ``max_tokens``, ``tools``, ``reasoning_effort`` and
            ``voice_optimized`` of `SpekoLLM`.
        tts_options: ``sample_rate``, ``speed``, ``instructions``, ``spoken_form``,
            ``convert_audio`` of `SpekoTTS`; ``prefetch`` of `SpekoTTSAdapter`, 1 by default; and
            ``first_words``, which is ``"sentence"`` or ``"clause"`` as of `FirstWordsTokenizer`, or
            ``"off"``. It is ``"sentence"`` by default, since speech pauses there anyway, and
            ``"off"`` with a `sentence_tokenizer` of your own or without a `prefetch`.
        stt_options: ``keywords``, ``prompt``, ``streaming``, ``interim_results`` and ``language``
            (`SpekoSTT`'s ``stt_language``);
            ``eager``, ``eager_delay`` and ``preflight`` of `SpekoSTTAdapter`, off by default: it
            makes more requests, and calls the model before the turn is certain.
        session_id: Session that every call is attributed to.
        agent_id: Agent whose registered tools take part.
        on_registered_tools_error: Called once when these cannot be fetched.
        api_base_url: Ignored, for people who come from the TypeScript package.
        api_key: Ignored likewise.

    Raises:
        ValueError: An option that does not exist, or whose value cannot be used; or no `speko` and
            no usable key in the environment.
        TypeError: `speko` is no async client, `vad` no VAD, or `sentence_tokenizer` no tokenizer.
    """
    warn_of_ignored(api_base_url=api_base_url, api_key=api_key)
    llm_kwargs = _options("llm", llm, LLM_OPTIONS)
    tts_kwargs = _options("tts_options", tts_options, TTS_OPTIONS)
    stt_kwargs = _options("stt_options", stt_options, STT_OPTIONS)
    if "language" in stt_kwargs:
        stt_kwargs["stt_language"] = stt_kwargs.pop("language")
    _check_parts(vad, sentence_tokenizer)
    eager = _taken(stt_kwargs, "eager", "eager_delay", "preflight")
    ahead = _taken(tts_kwargs, "prefetch")
    first_words = tts_kwargs.pop("first_words", None)
    if first_words is None:
        # Without a request ahead, a gap would follow a short first sentence.
        plain = sentence_tokenizer is not None or ahead.get("prefetch") == 0
        first_words = "off" if plain else "sentence"
    tokenizer = _tokenizer(sentence_tokenizer, first_words)
    client = Speko() if speko is None else speko
    shared: dict[str, Any] = {
        "speko": client,
        "intent": validate_intent(intent),
        "constraints": validate_constraints(constraints),
        "session_id": session_id,
    }
    components = SpekoComponents(
        stt=_adapted(SpekoSTT(**shared, **stt_kwargs), vad, eager),
        llm=SpekoLLM(
            **shared,
            **llm_kwargs,
            agent_id=agent_id,
            on_registered_tools_error=on_registered_tools_error,
        ),
        tts=SpekoTTSAdapter(
            tts=SpekoTTS(**shared, **tts_kwargs, voice=voice),
            sentence_tokenizer=tokenizer,
            **ahead,
        ),
    )
    if speko is None:
        components.llm.own_client()
    return components


def _adapted(
    recognizer: SpekoSTT, detector: vad.VAD, eager: Mapping[str, Any]
) -> SpekoSTTAdapter | SpekoSTT:
    """Return an adapter with the VAD. A stream that is not eager needs none."""
    if recognizer.capabilities.streaming and not eager.get("eager"):
        return recognizer
    return SpekoSTTAdapter(stt=recognizer, vad=detector, **eager)


def _taken(options: dict[str, Any], *names: str) -> dict[str, Any]:
    """Remove the options of an adapter from those of the part that it wraps."""
    return {name: options.pop(name) for name in names if name in options}


def _tokenizer(
    own: tokenize.SentenceTokenizer | None, first_words: object
) -> tokenize.SentenceTokenizer:
    if first_words not in FIRST_WORDS:
        raise ValueError(
            f"create_speko_components: unknown first_words {first_words!r} in tts_options. "
            f"Expected one of: {', '.join(FIRST_WORDS)}."
        )
    known = cast(FirstWords, first_words)
    if own is None:
        return default_tokenizer(known)
    return own if known == "off" else FirstWordsTokenizer(tokenizer=own, first=known)


def _options(
    name: str, options: Mapping[str, Any] | None, known: tuple[str, ...]
) -> dict[str, Any]:
    if options is not None and not isinstance(options, Mapping):
        raise ValueError(
            f"create_speko_components: {name} must be a mapping with some of {', '.join(known)}, "
            f"got {type(options).__name__}."
        )
    for option in options or {}:
        if option not in known:
            raise ValueError(
                f'create_speko_components: unknown option "{option}" in {name}. '
                f"Expected: {', '.join(known)}."
            )
    return dict(options or {})


def _check_parts(found: object, tokenizer: object) -> None:
    if not isinstance(found, vad.VAD):
        raise TypeError(
            "create_speko_components: vad must be a VAD such as silero.VAD.load(), got "
            f"{type(found).__name__}."
        )
    if tokenizer is not None and not isinstance(tokenizer, tokenize.SentenceTokenizer):
        raise TypeError(
            "create_speko_components: sentence_tokenizer must be a SentenceTokenizer of "
            f"livekit.agents.tokenize, got {type(tokenizer).__name__}."
        )
