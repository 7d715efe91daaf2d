"""The client of the Speko API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypedDict

import httpx

from .._aio import closing
from .._checks import (
    check_flag,
    check_mappings,
    check_number,
    check_session_id,
    check_text,
    check_whole,
    check_words,
)
from ..errors import STREAM_ENDED, SpekoApiError
from ..intent import (
    ConstraintsLike,
    Intent,
    IntentLike,
    OptimizeFor,
    validate_constraints,
    validate_intent,
)
from .agents import Agents
from .endpoint import read_api_key, read_base_url
from .requests import (
    MAX_KEYWORDS,
    build_complete_body,
    build_session_header,
    build_synthesize_body,
    build_tool,
    build_transcribe_headers,
)
from .response import JSON_TYPE, drain
from .responses import (
    COMPLETE_EVENTS,
    TRANSCRIBE_EVENTS,
    as_object,
    parse_complete_event,
    parse_completion,
    parse_error_event,
    parse_interim,
    parse_transcript,
)
from .synthesis import SynthesizeStream
from .transport import Transport
from .types import (
    ChatTool,
    CompleteEvent,
    CompleteResult,
    DoneEvent,
    ErrorEvent,
    SynthesizeResult,
    TranscribeResult,
)

if TYPE_CHECKING:
    from typing_extensions import Required, Unpack

DEFAULT_TIMEOUT_S = 30.0
"""Longest wait, in seconds, for a connection, and between two reads of an answer."""


class CompleteOptions(TypedDict, total=False):
    """The options of `Speko.complete_stream`, and so of `Speko.complete`."""

    messages: Required[Sequence[Mapping[str, Any]]]
    intent: Required[IntentLike]
    system_prompt: str | None
    temperature: float | None
    max_tokens: int | None
    constraints: ConstraintsLike | None
    tools: Sequence[ChatTool | Mapping[str, Any]] | None
    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    max_tool_hops: int | None
    session_id: str | None


class SynthesizeOptions(TypedDict, total=False):
    """The options of `Speko.synthesize_stream`, and so of `Speko.synthesize`."""

    language: Required[str]
    region: str | None
    optimize_for: OptimizeFor | None
    voice: str | None
    model: str | None
    speed: float | None
    instructions: str | None
    spoken_form: bool | None
    constraints: ConstraintsLike | None
    session_id: str | None


class Speko:
    """A client of the Speko API. Make one for each session.

    It owns its connections, unless they came with an ``http_client``, and keeps ten of them for
    five minutes. Tasks may share it; they must share one event loop. Sessions may, too: beyond ten
    calls at once most of them have to make a new connection then.

    Failures of the service raise `SpekoApiError`; failures of the network raise httpx's own errors.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
        http_client: httpx.AsyncClient | None = None,
        allow_http: bool = False,
    ) -> None:
        """Make a client.

        Args:
            api_key: The key. Default: the environment's ``SPEKO_API_KEY``.
            base_url: Where the service is. Default: the environment's ``SPEKO_BASE_URL``, else the
                public service. A trailing slash is dropped.
            timeout: Longest wait, in seconds, for a connection and between two reads of an answer.
                The length of an answer has no bound. In a session LiveKit's own timeouts
                (``conn_options``) apply as well.
            http_client: A client of your own, for a proxy, say. It is used and never closed; its
                headers are sent too, its timeouts and redirects are not used. Leave HTTP/2 off:
                httpx does not tell the service of a call that is cancelled. What a transport or a
                hook of yours has to clean up then, it has to shield (`anyio.CancelScope`).
            allow_http: Whether a base URL may be plain http to another machine, which sends the
                key and the call unencrypted. To this machine it always may.

        Raises:
            ValueError: No key, or one that no header can hold; a base URL that isn't http(s), has
                no host, or is plain http to another machine; a timeout that isn't positive; an
                environment whose ``SSL_CERT_FILE`` can't be used.
            TypeError: An `http_client` that is no `httpx.AsyncClient`.
        """
        check_number("Speko: timeout", timeout, above=0, required=True)
        if http_client is not None and not isinstance(http_client, httpx.AsyncClient):
            raise TypeError(
                "Speko: http_client must be an httpx.AsyncClient, got "
                f"{getattr(http_client, '__name__', type(http_client).__name__)}."
            )
        check_flag("Speko: allow_http", allow_http)
        self._base_url = read_base_url(base_url, allow_http=allow_http)
        self._transport = Transport(
            api_key=read_api_key(api_key),
            base_url=self._base_url,
            timeout_s=timeout,
            http_client=http_client,
        )
        self.agents = Agents(self._transport)

    @property
    def base_url(self) -> str:
        """Where the service is, without a trailing slash."""
        return self._base_url

    def __repr__(self) -> str:
        # One that its constructor refused is shown too, by what collects tracebacks.
        return f"Speko(base_url={getattr(self, '_base_url', None)!r})"

    async def __aenter__(self) -> Speko:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the calls under way, and close the connections made here. Safe to call twice."""
        await self._transport.aclose()

    def prewarm(self) -> None:
        """Open a connection in the background, so that the first call needs not wait for it.

        `SpekoSTT`, `SpekoLLM` and `SpekoTTS` call it when LiveKit prewarms them, which it does as
        a session starts. It makes one ``HEAD`` request without the key, whatever becomes of it, and
        only the first time. Outside of an event loop it does nothing.
        """
        self._transport.prewarm()

    async def transcribe(
        self,
        audio: bytes,
        *,
        language: str,
        region: str | None = None,
        optimize_for: OptimizeFor | None = None,
        content_type: str = "audio/wav",
        constraints: ConstraintsLike | None = None,
        session_id: str | None = None,
        keywords: Sequence[str] | None = None,
        stt_language: str | None = None,
        on_interim: Callable[[str], None] | None = None,
    ) -> TranscribeResult:
        """Recognise one utterance.

        Args:
            audio: A whole file, mono PCM16 WAV unless `content_type` says otherwise.
            language: BCP-47 tag to route by.
            region: Where latency counts.
            optimize_for: What to weigh most.
            content_type: Type of the file.
            constraints: Providers allowed.
            session_id: Session to book the call to.
            keywords: Words to listen for, 200 at most.
            stt_language: Language told to the provider, where it differs from the one to route by.
            on_interim: Called with each interim transcript, while the provider works.

        Raises:
            SpekoApiError: The service failed, or its answer can't be read.
            httpx.HTTPError: The network failed.
        """
        if not isinstance(audio, bytes | bytearray | memoryview):
            raise ValueError(f"Speko: audio must be bytes, got {type(audio).__name__}.")
        check_words("Speko: keywords", keywords, most=MAX_KEYWORDS)
        check_text("Speko: stt_language", stt_language)
        check_session_id("Speko: session_id", session_id)
        headers = build_transcribe_headers(
            intent=_intent(language, region, optimize_for),
            content_type=content_type,
            constraints=validate_constraints(constraints),
            session_id=session_id,
            keywords=keywords,
            stt_language=stt_language,
        )
        request = self._transport.open(
            "POST", "/v1/transcribe", headers=headers, content=bytes(audio)
        )
        async with request as answer:
            if answer.media_type == JSON_TYPE:
                return parse_transcript(as_object(await answer.json(), "the transcript"))
            async with closing(answer.events(TRANSCRIBE_EVENTS)) as events:
                async for name, payload in events:
                    if name == "error":
                        raise _raised(parse_error_event(payload))
                    if name == "done":
                        await drain(events)
                        return parse_transcript(payload)
                    if name == "transcript" and on_interim is not None:
                        on_interim(parse_interim(payload))
        raise SpekoApiError("Speko's transcript ended without its end.", 200, STREAM_ENDED)

    async def complete_stream(
        self,
        *,
        messages: Sequence[Mapping[str, Any]],
        intent: IntentLike,
        system_prompt: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        constraints: ConstraintsLike | None = None,
        tools: Sequence[ChatTool | Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        parallel_tool_calls: bool | None = None,
        max_tool_hops: int | None = None,
        session_id: str | None = None,
    ) -> AsyncIterator[CompleteEvent]:
        """Complete a conversation, event by event.

        Args:
            messages: At least one, in the API's form: ``{"role": "user", "content": "Hi"}``.
            intent: What to route by.
            system_prompt: An instruction in front of the messages.
            temperature: The model's.
            max_tokens: Longest reply, in tokens.
            constraints: Providers allowed.
            tools: Tools that the model may call.
            tool_choice: ``auto``, ``none``, ``required``, or a function by name.
            parallel_tool_calls: Whether one turn may call several tools.
            max_tool_hops: How often tools may run inside Speko before the reply.
            session_id: Session to book the call to.

        Yields:
            Events with a ``type``: ``meta``, ``delta``, ``tool_call``, ``server_tool_call``, then
            ``done`` or ``error``, which is the last.

        Raises:
            SpekoApiError: The service failed, its answer can't be read, or it ended without
                ``done`` (code ``STREAM_ENDED``).
            httpx.HTTPError: The network failed.
        """
        check_number("Speko: temperature", temperature)
        check_whole("Speko: max_tokens", max_tokens)
        check_mappings("Speko: messages", messages)
        check_session_id("Speko: session_id", session_id)
        body = build_complete_body(
            messages=messages,
            intent=validate_intent(intent),
            system_prompt=system_prompt,
            temperature=temperature,
            max_tokens=max_tokens,
            constraints=validate_constraints(constraints),
            tools=_wire_tools(tools),
            tool_choice=tool_choice,
            parallel_tool_calls=parallel_tool_calls,
            max_tool_hops=max_tool_hops,
        )
        headers = build_session_header(session_id)
        request = self._transport.open("POST", "/v1/complete", headers=headers, json_body=body)
        async with request as answer:
            if answer.media_type == JSON_TYPE:
                yield parse_completion(as_object(await answer.json(), "the completion"))
                return
            async with closing(answer.events(COMPLETE_EVENTS)) as events:
                async for name, payload in events:
                    event = parse_complete_event(name, payload)
                    if isinstance(event, DoneEvent | ErrorEvent):
                        await drain(events)
                        yield event
                        return
                    if event is not None:
                        yield event
        raise SpekoApiError("Speko's reply ended without its end.", 200, STREAM_ENDED)

    async def complete(self, **options: Unpack[CompleteOptions]) -> CompleteResult:
        """Complete a conversation in one piece.

        Args:
            **options: Those of `complete_stream`.

        Raises:
            SpekoApiError: As `complete_stream`, and for an ``error`` event, with its code.
            httpx.HTTPError: The network failed.
        """
        events = [event async for event in self.complete_stream(**options)]
        last = events[-1]
        if isinstance(last, ErrorEvent):
            raise _raised(last)
        assert isinstance(last, DoneEvent), "a stream without its end has raised"
        return last

    async def synthesize_stream(
        self,
        text: str,
        *,
        language: str,
        region: str | None = None,
        optimize_for: OptimizeFor | None = None,
        voice: str | None = None,
        model: str | None = None,
        speed: float | None = None,
        instructions: str | None = None,
        spoken_form: bool | None = None,
        constraints: ConstraintsLike | None = None,
        session_id: str | None = None,
    ) -> SynthesizeStream:
        """Speak a text, as the provider renders it.

        Args:
            text: What to say.
            language: BCP-47 tag to route by.
            region: Where latency counts.
            optimize_for: What to weigh most.
            voice: Voice of the provider.
            model: Model of the provider.
            speed: Factor; 1.0 is the voice's own.
            instructions: How to say it, for providers that take such.
            spoken_form: Whether Speko turns numbers and markdown into spoken words first.
            constraints: Providers allowed.
            session_id: Session to book the call to.

        Returns:
            The audio, whose headers have come. Close it, or use it as a context manager.

        Raises:
            SpekoApiError: The service failed.
            httpx.HTTPError: The network failed.
        """
        if not isinstance(text, str):
            raise ValueError(f"Speko: text must be a string, got {type(text).__name__}.")
        check_number("Speko: speed", speed, above=0)
        check_session_id("Speko: session_id", session_id)
        body = build_synthesize_body(
            text,
            intent=_intent(language, region, optimize_for),
            voice=voice,
            model=model,
            speed=speed,
            instructions=instructions,
            spoken_form=spoken_form,
            constraints=validate_constraints(constraints),
        )
        headers = build_session_header(session_id)
        return SynthesizeStream(
            await self._transport.send("POST", "/v1/synthesize", headers=headers, json_body=body)
        )

    async def synthesize(self, text: str, **options: Unpack[SynthesizeOptions]) -> SynthesizeResult:
        """Speak a text, all of it at once.

        Args:
            text: What to say.
            **options: Those of `synthesize_stream`.

        Raises:
            SpekoApiError: The service failed.
            httpx.HTTPError: The network failed.
        """
        async with await self.synthesize_stream(text, **options) as stream:
            audio = b"".join([chunk async for chunk in stream])
        return SynthesizeResult(
            audio=audio,
            content_type=stream.content_type,
            provider=stream.provider,
            model=stream.model,
            failover_count=stream.failover_count,
            scores_run_id=stream.scores_run_id,
        )


def _raised(event: ErrorEvent) -> SpekoApiError:
    return SpekoApiError(event.error, 200, event.code)


def _intent(language: str, region: str | None, optimize_for: OptimizeFor | None) -> Intent:
    return validate_intent(Intent(language, region, optimize_for))


def _wire_tools(
    tools: Sequence[ChatTool | Mapping[str, Any]] | None,
) -> list[dict[str, Any]] | None:
    if tools is None:
        return None
    if isinstance(tools, str | Mapping) or not isinstance(tools, Sequence):
        raise ValueError(
            f"Speko: tools must be a list of ChatTool or mappings, got {type(tools).__name__}."
        )
    wire = [build_tool(tool) if isinstance(tool, ChatTool) else tool for tool in tools]
    check_mappings("Speko: tools", wire, least=0)
    return [dict(tool) for tool in wire]
