"""A caller's utterances, recognised while the VAD still judges whether they have ended."""

from __future__ import annotations

from typing import Any

from livekit.agents import APIConnectOptions, stt, vad
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr

from .._checks import check_number
from .eager import EagerStats as EagerStats
from .eager_stream import EagerStream, Tally


class SpekoSTTAdapter(stt.StreamAdapter):
    """LiveKit's `stt.StreamAdapter`, which with `eager` does not wait for the end of speech.

    A VAD takes its time (Silero 0.55 s) to be sure that the caller has ended. With `eager` the
    utterance is recognised after `eager_delay` of silence already, and the text handed on as a
    preflight transcript, with which LiveKit begins the reply at once. When the VAD declares the
    end, the final transcript follows with the same text and no further request. When the caller
    goes on instead, the reply is stopped, and the whole utterance is recognised once it has ended:
    there is one final transcript for each utterance, and it is always of the whole of it.

    What it costs: requests in vain for callers who pause inside of an utterance, two at most for
    each, counted by `eager_stats`; LiveKit's usage metrics know of those alone that were answered.
    An eager request that fails is not tried again, and is no error of the session: the utterance is
    recognised at its end as if there had been none. (The wrapped STT emits its ``error`` event for
    it, with ``recoverable`` False, as it does for any call without retries.)

    LiveKit runs the model, and the code of an ``llm_node``, for a preflight transcript whose turn
    is not committed yet. Its own function tools wait for that; tools that run inside of the service
    (registered for an ``agent_id``) do not, and may run for a sentence that goes on.

    The session emits ``user_input_transcribed`` with ``is_final`` False for a preflight transcript.
    When the caller goes on, it does so again, with a mark behind the text and at once without it;
    when nothing is understood in the end, with "".

    In a session that leaves the end of a turn to the user's code (``turn_detection="manual"``)
    there are no preflight transcripts, which LiveKit would take for the turn's text; the final one
    still comes sooner. ``commit_user_turn()`` is for that mode: in any other LiveKit commits a
    preflight transcript of the last 0.5 s, and the final one with the same words makes a second
    turn (as it does, once, after a switch to manual mode in that moment). The adapter knows the
    session if it is the session's or agent's ``stt`` itself. Inside of another adapter it does not:
    leave `eager` off there in manual mode.

    The wrapped STT and the VAD stay the caller's. Sessions may share the adapter.
    """

    def __init__(
        self, *, stt: stt.STT[Any], vad: vad.VAD, eager: bool = False, eager_delay: float = 0.2
    ) -> None:
        """Check the options; open nothing.

        Args:
            stt: Recognises one utterance a request. Its events ``metrics_collected`` and ``route``
                are emitted by the adapter too, until `aclose`.
            vad: Cuts the utterances out. Recognising ahead needs the audio and the accumulated
                silence in its events, as Silero's and LiveKit's own tell them.
            eager: Whether to recognise ahead. Without it this is LiveKit's own adapter.
            eager_delay: Silence before that, in seconds. Less makes more requests in vain: pauses
                inside of a sentence are 0.1 to 0.3 s long. One that is longer than what the VAD
                waits for changes nothing.

        Raises:
            ValueError: `eager` is no bool, or `eager_delay` no number above 0.
        """
        if not isinstance(eager, bool):
            raise ValueError(f"SpekoSTTAdapter: eager must be True or False, got {eager!r}.")
        check_number("SpekoSTTAdapter: eager_delay", eager_delay, above=0, required=True)
        super().__init__(stt=stt, vad=vad)
        self._eager = eager
        self._eager_delay = eager_delay
        self._tally = Tally()
        self._stt.on("route", self._on_route)

    @property
    def eager_stats(self) -> EagerStats:
        """What recognising ahead has cost so far."""
        return self._tally.stats

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        """Recognise the utterances of audio that is pushed frame by frame.

        Args:
            language: Told to the wrapped STT, where given.
            conn_options: For each recognition. ``timeout`` is in seconds; an eager one has no
                retries.
        """
        if not self._eager:
            return super().stream(language=language, conn_options=conn_options)
        return EagerStream(
            self,
            delay_s=self._eager_delay,
            tally=self._tally,
            language=language,
            conn_options=conn_options,
        )

    async def aclose(self) -> None:
        """Hand on no more events of the wrapped STT, which stays open."""
        self._stt.off("route", self._on_route)
        await super().aclose()

    def _on_route(self, *args: Any) -> None:
        self.emit("route", *args)
