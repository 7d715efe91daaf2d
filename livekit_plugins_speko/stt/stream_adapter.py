"""A caller's utterances, recognised while the VAD still judges whether they have ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from livekit.agents import APIConnectOptions, stt, vad
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr

from .._checks import check_number
from .eager import EagerStats as EagerStats
from .eager_stream import EagerParts, EagerStream, RequestCounter
from .eager_streaming import EagerStreamingStream
from .preflight import PreflightRule


class SpekoSTTAdapter(stt.StreamAdapter):
    """LiveKit's `stt.StreamAdapter`, which with `eager` does not wait for the end of speech.

    A VAD needs time (Silero 0.55 s) to be sure that the caller has ended. With `eager` the
    utterance is recognised after `eager_delay` of silence already, and the text is forwarded as a
    preflight transcript, with which LiveKit begins the reply at once. When the VAD declares the
    end, the final transcript follows with the same text and no further request. When the caller
    continues instead, the reply is stopped, and the complete utterance is recognised once it has
    ended: each utterance has one final transcript, and it is always of the complete utterance.

    The cost: wasted requests for callers who pause inside of an utterance, two at most for each,
    counted by `eager_stats`; LiveKit's usage metrics include only those with a response. An eager
    request that fails is not retried, and is no error of the session: the utterance is recognised
    at its end as if there had been none. (The wrapped STT emits its ``error`` event for it, with
    ``recoverable`` False, as it does for any call without retries.)

    LiveKit runs the model, and the code of an ``llm_node``, for a preflight transcript whose turn
    is not committed yet. Its own function tools wait for that; tools that run inside of the service
    (registered for an ``agent_id``) do not, and may run for a sentence that continues.

    The session emits ``user_input_transcribed`` with ``is_final`` False for a preflight transcript.
    When the caller continues, it does so again, with a mark after the text and at once without it;
    when nothing is understood in the end, with "".

    A session that leaves the end of a turn to the author's code (``turn_detection="manual"``) gets
    no preflight transcripts, which LiveKit would take for the turn's text; the final one still
    comes sooner. A stream knows its session if the session's STT node has made it, inside of
    another adapter too. Pass ``preflight=False`` where your code ends turns and makes the streams
    itself, and where a reply must not begin before its turn is certain.

    Call ``commit_user_turn()`` in manual mode only: in any other LiveKit commits a preflight
    transcript of the last 0.5 s, and the final one with the same words makes a second turn (as it
    does, once, after a switch to manual mode in that moment).

    With an STT that streams (``SpekoSTT(streaming=True)``) there are no requests ahead: the text so
    far is the preflight transcript, after `eager_delay` of silence, and the final one is requested
    at once. There is one final transcript for each utterance of the VAD: finals inside of it are
    joined, and where none comes within 2 s of its end, the interim text is the final.

    The wrapped STT and the VAD stay the caller's. Sessions may share the adapter.
    """

    def __init__(
        self,
        *,
        stt: stt.STT[Any],
        vad: vad.VAD,
        eager: bool = False,
        eager_delay: float = 0.2,
        preflight: bool = True,
    ) -> None:
        """Check the options; open nothing.

        Args:
            stt: Recognises one utterance a request. Its events ``metrics_collected`` and ``route``
                are emitted by the adapter too, until `aclose`.
            vad: Cuts the utterances out. Recognising ahead needs the audio and the accumulated
                silence in its events, which Silero's and LiveKit's own have.
            eager: Recognise ahead. Without it this is LiveKit's own adapter.
            eager_delay: Silence before that, in seconds. Less wastes more requests: pauses inside
                of a sentence are 0.1 to 0.3 s long. A delay longer than the VAD's own wait changes
                nothing.
            preflight: Forward the text of an eager request before the end, where that helps. With
                False only the final transcript comes sooner.

        Raises:
            ValueError: `eager` or `preflight` is no bool, or `eager_delay` no number above 0.
        """
        for name, value in (("eager", eager), ("preflight", preflight)):
            if not isinstance(value, bool):
                raise ValueError(f"SpekoSTTAdapter: {name} must be True or False, got {value!r}.")
        check_number("SpekoSTTAdapter: eager_delay", eager_delay, above=0, required=True)
        super().__init__(stt=stt, vad=vad)
        self._recognizer = stt
        self._detector = vad
        self._eager = eager
        self._eager_delay = eager_delay
        self._preflight = PreflightRule(wanted=eager and preflight)
        self._counter = RequestCounter()
        self._recognizer.on("route", self._on_route)
        if eager and stt.capabilities.streaming:
            self._recognizer.on("error", self._on_error)

    @property
    def capabilities(self) -> stt.STTCapabilities:
        """Those of the adapter; with a streaming STT it has interim transcripts and word times."""
        inner = self._recognizer.capabilities
        if not inner.streaming:
            return super().capabilities
        return replace(
            super().capabilities,
            interim_results=inner.interim_results,
            aligned_transcript=inner.aligned_transcript,
        )

    @property
    def eager_stats(self) -> EagerStats:
        """The requests made ahead so far."""
        return self._counter.stats

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        """Recognise the utterances of audio that is pushed frame by frame.

        Args:
            language: Forwarded to the wrapped STT, where given.
            conn_options: For each recognition. ``timeout`` is in seconds; an eager one has no
                retries.
        """
        if not self._eager:
            return super().stream(language=language, conn_options=conn_options)
        parts = EagerParts(
            recognizer=self._recognizer,
            detector=self._detector,
            delay_s=self._eager_delay,
            counter=self._counter,
            preflight=self._preflight,
        )
        kind = EagerStreamingStream if self._recognizer.capabilities.streaming else EagerStream
        return kind(self, parts, language=language, conn_options=conn_options)

    async def aclose(self) -> None:
        """Emit no more events of the wrapped STT, which stays open."""
        self._recognizer.off("route", self._on_route)
        if self._eager and self._recognizer.capabilities.streaming:
            self._recognizer.off("error", self._on_error)
        await super().aclose()

    def _on_route(self, *args: Any) -> None:
        self.emit("route", *args)

    def _on_error(self, error: stt.STTError) -> None:
        """Emit a problem that the service reported. An error that ends a stream it emits itself."""
        if error.recoverable:
            self.emit("error", error)
