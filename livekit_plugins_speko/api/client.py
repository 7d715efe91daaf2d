"""The client of the Speko API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import httpx

from .._aio import close_all, closing
from .._checks import check_number, check_rate, check_words
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
from .limits import MAX_KEYWORDS
from .options import (
    CompleteOptions,
    ReasoningEffort,
    SynthesizeOptions,
    TranscribeOptions,
)
from .realtime import Realtime
from .recognition import StreamOptions
from .requests import HttpRequest, build_complete, build_synthesize, build_transcribe
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
from .sessions import Sessions
from .signatures import takes_options_of
from .synthesis import SynthesizeStream
from .transcribe_stream import TranscribeStream
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
from .voices import Voices
from .websocket import Sockets

DEFAULT_TIMEOUT_S = 30.0
"""Longest wait, in seconds, for a connection, and between two reads of a response."""


class Speko:
    """A client of the Speko API. Sessions may share it, and tasks, on one event loop.

    It owns its connections, unless they came with an ``http_client``, and keeps idle ones for five
    minutes: as many as calls were made at once.

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
            base_url: Address of the service. Default: the environment's ``SPEKO_BASE_URL``, else
                the public service. A trailing slash is dropped.
            timeout: Longest wait, in seconds, for a connection and between two reads of a response.
                The length of a response has no bound. In a session LiveKit's own timeouts
                (``conn_options``) apply as well.
            http_client: A client of your own, for a proxy, say. It is used and never closed; its
                headers are sent too, its timeouts and redirects are not used. Leave HTTP/2 off:
                httpx does not reset the stream of a cancelled call. Clean-up of your transports
                and hooks has to be shielded then (`anyio.CancelScope`).
            allow_http: Allow a base URL that is plain http to another machine, which sends the key
                and the call unencrypted. To this machine it is always allowed.

        Raises:
            ValueError: No key, or one that no header can hold; a base URL that isn't http(s), has
                no host, or is plain http to another machine; a timeout that isn't positive; an
                environment whose ``SSL_CERT_FILE`` can't be used.
            TypeError: An `http_client` that is no `httpx.AsyncClient`: the synchronous one, or that
                of httpx2, which livekit-agents brings.
        """
        check_number("Speko: timeout", timeout, above=0, required=True)
        if http_client is not None and not isinstance(http_client, httpx.AsyncClient):
            raise TypeError(
                "Speko: http_client must be an httpx.AsyncClient, got "
                f"{getattr(http_client, '__name__', type(http_client).__name__)}."
            )
        self._base_url = read_base_url(base_url, allow_http=allow_http)
        self._transport = Transport(
            api_key=read_api_key(api_key),
            base_url=self._base_url,
            timeout_s=timeout,
            http_client=http_client,
        )
        self.agents = Agents(self._transport)
        self.sessions = Sessions(self._transport)
        self.voices = Voices(self._transport)
        self.sockets = Sockets(api_key=read_api_key(api_key), base_url=self._base_url)
        self.realtime = Realtime(self._transport, self.sockets, base_url=self._base_url)

    @property
    def base_url(self) -> str:
        """Address of the service, without a trailing slash."""
        return self._base_url

    def __repr__(self) -> str:
        # Error trackers also show a client whose constructor raised.
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
        await close_all(self.realtime.aclose, self.sockets.aclose, self._transport.aclose)

    def prewarm(self) -> None:
        """Open a connection in the background, so that the first call needs not wait for it.

        `SpekoSTT`, `SpekoLLM` and `SpekoTTS` call it when LiveKit prewarms them, as a session
        starts. It makes one ``HEAD`` request without the key, only the first time, and ignores its
        outcome. Outside of an event loop it does nothing.
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
        prompt: str | None = None,
        on_interim: Callable[[str], None] | None = None,
    ) -> TranscribeResult:
        """Recognise one utterance.

        Args:
            audio: A whole file, mono PCM16 WAV unless `content_type` says otherwise.
            language: BCP-47 tag to route by.
            region: Region to measure latency from.
            optimize_for: Criterion to rank providers by.
            content_type: Type of the file.
            constraints: Providers allowed.
            session_id: Session to book the call to.
            keywords: Words to listen for, 200 at most. The last ones that a header can't hold are
                left out, and the log says how many.
            stt_language: Language for the provider alone, where it differs from the one to route
                by.
            prompt: Context for the provider, 2000 characters at most.
            on_interim: Called with each interim transcript, while the provider works.

        Raises:
            ValueError: An option that can't be used.
            SpekoApiError: The service failed, or its response can't be read.
            httpx.HTTPError: The network failed.
        """
        options = TranscribeOptions(
            intent=Intent(language, region, optimize_for),
            constraints=validate_constraints(constraints),
            session_id=session_id,
            content_type=content_type,
            keywords=keywords,
            stt_language=stt_language,
            prompt=prompt,
        )
        async with self._transport.open(build_transcribe(bytes(audio), options)) as response:
            if response.media_type == JSON_TYPE:
                return parse_transcript(as_object(await response.json(), "the transcript"))
            async with closing(response.events(TRANSCRIBE_EVENTS)) as events:
                async for name, payload in events:
                    if name == "error":
                        raise _error_of(parse_error_event(payload))
                    if name == "done":
                        await drain(events)
                        return parse_transcript(payload)
                    if name == "transcript" and on_interim is not None:
                        on_interim(parse_interim(payload))
        raise _ended("transcript")

    def transcribe_stream(
        self,
        *,
        language: str,
        region: str | None = None,
        optimize_for: OptimizeFor | None = None,
        constraints: ConstraintsLike | None = None,
        session_id: str | None = None,
        keywords: Sequence[str] | None = None,
        stt_language: str | None = None,
        prompt: str | None = None,
        sample_rate: int = 16_000,
        interim_results: bool = True,
    ) -> TranscribeStream:
        """Recognise while the audio is still being spoken.

        Args:
            language: BCP-47 tag to route by.
            region: Where latency counts.
            optimize_for: What to weigh most.
            constraints: Providers allowed.
            session_id: Session to book the stream to.
            keywords: Words to listen for, 200 at most.
            stt_language: Language for the provider alone, where it differs from the one to route
                by.
            prompt: Context for the provider, 2000 characters at most.
            sample_rate: Rate of the audio, in Hz, from 8000 to 48000.
            interim_results: Ask for the text of a segment while it is still being said. Without
                it the service gives no word times either.

        Returns:
            The stream, an async context manager that connects once it is entered.

        Raises:
            ValueError: An option that can't be used.
        """
        check_words("Speko: keywords", keywords, most=MAX_KEYWORDS)
        check_rate("Speko: sample_rate", sample_rate, range(8_000, 48_001))
        options = StreamOptions(
            intent=validate_intent(Intent(language, region, optimize_for)),
            constraints=validate_constraints(constraints),
            session_id=session_id,
            keywords=None if keywords is None else tuple(keywords),
            stt_language=stt_language,
            prompt=prompt,
            sample_rate=sample_rate,
            interim_results=interim_results,
        )
        return TranscribeStream(self.sockets, options)

    def complete_stream(
        self,
        *,
        messages: Sequence[Mapping[str, Any]],
        intent: IntentLike,
        system_prompt: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        reasoning_effort: ReasoningEffort | None = None,
        voice_optimized: bool | None = None,
        constraints: ConstraintsLike | None = None,
        tools: Sequence[ChatTool | Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        parallel_tool_calls: bool | None = None,
        max_tool_hops: int | None = None,
        session_id: str | None = None,
    ) -> AsyncGenerator[CompleteEvent, None]:
        """Complete a conversation, event by event.

        Args:
            messages: At least one, in the API's form: ``{"role": "user", "content": "Hi"}``. The
                official SDK's spelling (``tool_calls``, ``tool_call_id``, ``is_error``) will do.
            intent: The routing.
            system_prompt: An instruction before the messages.
            temperature: The model's, 0 to 2.
            max_tokens: Longest reply, in tokens.
            reasoning_effort: How long the model thinks: none, minimal, low, medium, high, xhigh.
            voice_optimized: Let the service write for the ear.
            constraints: Providers allowed.
            tools: Tools that the model may call.
            tool_choice: ``auto``, ``none``, ``required``, or a function by name.
            parallel_tool_calls: Allow several tool calls in one reply.
            max_tool_hops: Most rounds of tools inside the service before the reply, 1 to 16.
            session_id: Session to book the call to.

        Returns:
            An iterator of events with a ``type``: ``meta``, ``delta``, ``tool_call``,
            ``server_tool_call``, then ``done`` or ``error``, which is the last. Iterating raises
            `SpekoApiError` when the service failed, its response can't be read, or it ended
            without ``done`` (code ``STREAM_ENDED``), and `httpx.HTTPError` when the network failed.

        Raises:
            ValueError: An option that can't be used.
        """
        options = CompleteOptions(
            intent=validate_intent(intent),
            constraints=validate_constraints(constraints),
            session_id=session_id,
            system_prompt=system_prompt,
            temperature=temperature,
            max_tokens=max_tokens,
            reasoning_effort=reasoning_effort,
            voice_optimized=voice_optimized,
            tools=tools,
            tool_choice=tool_choice,
            parallel_tool_calls=parallel_tool_calls,
            max_tool_hops=max_tool_hops,
        )
        return self._complete(build_complete(messages, options))

    async def _complete(self, request: HttpRequest) -> AsyncGenerator[CompleteEvent, None]:
        async with self._transport.open(request) as response:
            if response.media_type == JSON_TYPE:
                yield parse_completion(as_object(await response.json(), "the completion"))
                return
            async with closing(response.events(COMPLETE_EVENTS)) as events:
                async for name, payload in events:
                    event = parse_complete_event(name, payload)
                    if isinstance(event, DoneEvent | ErrorEvent):
                        await drain(events)
                        yield event
                        return
                    if event is not None:
                        yield event
        raise _ended("reply")

    @takes_options_of(complete_stream)
    async def complete(self, **options: Any) -> CompleteResult:
        """Complete a conversation in one piece. The options are those of `complete_stream`.

        Raises:
            ValueError: An option that can't be used.
            SpekoApiError: The service failed, also by an ``error`` event, with its code; or its
                response can't be read.
            httpx.HTTPError: The network failed.
        """
        events = [event async for event in self.complete_stream(**options)]
        last = events[-1]
        if isinstance(last, ErrorEvent):
            raise _error_of(last)
        assert isinstance(last, DoneEvent), "a stream without its last event has raised"
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
        """Speak a text; the audio streams as the provider renders it.

        Args:
            text: The words.
            language: BCP-47 tag to route by.
            region: Region to measure latency from.
            optimize_for: Criterion to rank providers by.
            voice: Voice of the provider.
            model: Model of the provider.
            speed: Factor of the voice's own speed, 0.5 to 2.
            instructions: Manner of speaking, for providers that take such.
            spoken_form: Turn numbers and markdown into spoken words first.
            constraints: Providers allowed.
            session_id: Session to book the call to.

        Returns:
            The audio, whose headers have come. Close it, or use it as a context manager.

        Raises:
            ValueError: An option that can't be used.
            SpekoApiError: The service failed.
            httpx.HTTPError: The network failed.
        """
        options = SynthesizeOptions(
            intent=Intent(language, region, optimize_for),
            constraints=validate_constraints(constraints),
            session_id=session_id,
            voice=voice,
            model=model,
            speed=speed,
            instructions=instructions,
            spoken_form=spoken_form,
        )
        return SynthesizeStream(await self._transport.send(build_synthesize(text, options)))

    @takes_options_of(synthesize_stream)
    async def synthesize(self, text: str, **options: Any) -> SynthesizeResult:
        """Speak a text, all of it at once. The options are those of `synthesize_stream`.

        Raises:
            ValueError: An option that can't be used.
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


def _error_of(event: ErrorEvent) -> SpekoApiError:
    return SpekoApiError(event.error, 200, event.code)


def _ended(response: str) -> SpekoApiError:
    text = f"The {response} stream ended before its `done` event."
    return SpekoApiError(text, 200, STREAM_ENDED)
