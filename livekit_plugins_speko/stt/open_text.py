"""Texts of an utterance that are not final yet, sent so that LiveKit begins and stops replies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from livekit.agents import APIConnectOptions, LanguageCode, stt, vad
from livekit.agents.types import NotGivenOr

from .last_words import LastWords

CONTINUES = "\N{MIDLINE HORIZONTAL ELLIPSIS}"
"""Appended to a text that turned out not to be complete, so that LiveKit stops the reply to it.

It does so on an interim transcript whose words differ from the preflight's, case and punctuation
apart. The next words aren't known yet, so a mark has to differ, and it must be no punctuation to
Unicode, as the ordinary ellipsis is. At the end of the last word it adds no word (LiveKit counts
them, ``min_words``). The plain text follows at once: LiveKit commits the last interim text of a
session that is closed before the final one comes, and the caller did not say the mark.
"""


class OpenTextStream(stt.StreamAdapterWrapper):
    """A stream of an adapter that keeps the text that it sent and that is not final."""

    def __init__(
        self,
        adapter: stt.StreamAdapter,
        *,
        detector: vad.VAD,
        recognizer: stt.STT[Any],
        language: NotGivenOr[str],
        conn_options: APIConnectOptions,
        session: Any | None,
    ) -> None:
        super().__init__(
            adapter,
            vad=detector,
            wrapped_stt=recognizer,
            language=language,
            conn_options=conn_options,
        )
        # The last text that was sent and isn't final. None after a final one.
        self._open_text: stt.SpeechData | None = None
        # The session that makes this stream. None outside of one.
        self._session = session
        # Notes the audio on its way to the VAD.
        self._last_words = LastWords()

    def _answer_last_words(self, event: vad.VADEvent) -> None:
        """Tell a session that closes, by an empty final transcript, that no words are left."""
        if self._session is not None and self._last_words.answers(event):
            nothing = stt.SpeechData(language=LanguageCode(""), text="")
            self._send(stt.SpeechEventType.FINAL_TRANSCRIPT, nothing)

    def _retract(self, data: stt.SpeechData) -> None:
        """Have the reply to a preflight transcript stopped: the caller continues."""
        marked = replace(data, text=data.text + CONTINUES)
        self._send_open(stt.SpeechEventType.INTERIM_TRANSCRIPT, marked)
        self._send_open(stt.SpeechEventType.INTERIM_TRANSCRIPT, data)

    def _withdraw(self) -> None:
        """Take back a text that no final transcript replaces: LiveKit adds it to turns."""
        if self._open_text is not None:
            nothing, self._open_text = replace(self._open_text, text=""), None
            self._send(stt.SpeechEventType.INTERIM_TRANSCRIPT, nothing)

    def _send_open(
        self,
        type_: stt.SpeechEventType,
        data: stt.SpeechData,
        speech_end_time: float | None = None,
    ) -> None:
        """Send a text that is not final."""
        self._open_text = data
        self._send(type_, data, speech_end_time)

    def _send(
        self,
        type_: stt.SpeechEventType,
        data: stt.SpeechData | None = None,
        speech_end_time: float | None = None,
    ) -> None:
        alternatives = [] if data is None else [data]
        event = stt.SpeechEvent(type_, alternatives=alternatives, speech_end_time=speech_end_time)
        self._event_ch.send_nowait(event)
