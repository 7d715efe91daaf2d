"""The three parts of a session, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from livekit.agents import stt, tokenize, tts, vad

from ._protocol import SpekoClient
from .intent import ConstraintsLike, IntentLike, validate_constraints, validate_intent
from .llm import SpekoLLM, warn_of_ignored
from .stt import SpekoSTT
from .tts import SpekoTTS

LLM_OPTIONS = ("temperature", "max_tokens", "tools")
TTS_OPTIONS = ("sample_rate", "speed", "instructions", "spoken_form", "convert_audio")
STT_OPTIONS = ("keywords", "language")


class SpekoComponents(NamedTuple):
    """What an `AgentSession` takes.

    Attributes:
        stt: LiveKit's adapter around a `SpekoSTT` and the VAD.
        llm: A `SpekoLLM`.
        tts: LiveKit's adapter around a `SpekoTTS` and the sentence tokenizer.
    """

    stt: stt.StreamAdapter
    llm: SpekoLLM
    tts: tts.StreamAdapter

    async def aclose(self) -> None:
        """Close the parts, and what the adapters wrap. The client and the VAD stay open."""
        await self.stt.aclose()
        await self.stt.wrapped_stt.aclose()
        await self.llm.aclose()
        await self.tts.aclose()
        await self.tts._wrapped_tts.aclose()


def create_speko_components(
    *,
    speko: SpekoClient,
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
    """Make the parts of a session, with one intent and one set of constraints for all of them.

    Args:
        speko: The client: `Speko`, or ``AsyncSpeko`` of the official SDK. It stays the caller's.
        vad: Cuts the caller's utterances out of the audio, Silero's say. It stays the caller's.
        intent: What to route by.
        voice: Voice of the provider.
        constraints: Providers that the router may choose from.
        sentence_tokenizer: Cuts a reply into sentences. Default: LiveKit's basic one with
            ``retain_format=True``, without which a transcript's sentences are glued together.
        llm: ``temperature``, ``max_tokens``, ``tools`` of `SpekoLLM`.
        tts_options: ``sample_rate``, ``speed``, ``instructions``, ``spoken_form``,
            ``convert_audio`` of `SpekoTTS`.
        stt_options: ``keywords`` and ``language`` (`SpekoSTT`'s ``stt_language``).
        session_id: Session to book every call to.
        agent_id: Agent whose registered tools take part.
        on_registered_tools_error: Called once when these can't be fetched.
        api_base_url: Ignored, for people who come from the TypeScript package.
        api_key: Ignored likewise.

    Raises:
        ValueError: An option that doesn't exist, or whose value can't be used.
        TypeError: `speko` is no async client, `vad` no VAD, or `sentence_tokenizer` no tokenizer.
    """
    warn_of_ignored(api_base_url=api_base_url, api_key=api_key)
    llm_kwargs = _options("llm", llm, LLM_OPTIONS)
    tts_kwargs = _options("tts_options", tts_options, TTS_OPTIONS)
    stt_kwargs = _options("stt_options", stt_options, STT_OPTIONS)
    if "language" in stt_kwargs:
        stt_kwargs["stt_language"] = stt_kwargs.pop("language")
    shared: dict[str, Any] = {
        "speko": speko,
        "intent": validate_intent(intent),
        "constraints": validate_constraints(constraints),
        "session_id": session_id,
    }
    _check_parts(vad, sentence_tokenizer)
    return SpekoComponents(
        stt=stt.StreamAdapter(stt=SpekoSTT(**shared, **stt_kwargs), vad=vad),
        llm=SpekoLLM(
            **shared,
            **llm_kwargs,
            agent_id=agent_id,
            on_registered_tools_error=on_registered_tools_error,
        ),
        tts=tts.StreamAdapter(
            tts=SpekoTTS(**shared, **tts_kwargs, voice=voice),
            sentence_tokenizer=(
                tokenize.basic.SentenceTokenizer(retain_format=True)
                if sentence_tokenizer is None
                else sentence_tokenizer
            ),
        ),
    )


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
