"""The caller's words on a speech-to-speech connection: each text begins with the one before it."""

from __future__ import annotations

from livekit_plugins_speko.testing import RealtimeConnection, RealtimeTranscript

# The last words of a growing text, which may still change.
UNSURE_WORDS = 2


class CallerWords:
    """One utterance of the caller: partial texts, then the final one. Used by one task.

    The wire does not say whether a text continues the one before it or replaces it, and clients
    tell by its beginning. So a word that was sent is never taken back, even if a later pass of the
    recogniser is of another opinion.
    """

    def __init__(self, connection: RealtimeConnection) -> None:
        """Begin without words.

        Args:
            connection: The connection, which is ready.
        """
        self._connection = connection
        # The words that were sent.
        self._sent: list[str] = []

    async def send_partial(self, text: str) -> None:
        """Send the words of the utterance so far that will hardly change, if there are new ones."""
        words = text.split()
        sure = words[len(self._sent) : max(0, len(words) - UNSURE_WORDS)]
        if sure:
            self._sent += sure
            await self._connection.send(RealtimeTranscript("user", " ".join(self._sent)))

    async def send_final(self, text: str) -> str:
        """Send all words of the utterance, and return them; an empty text if there are none."""
        whole = " ".join(self._sent + text.split()[len(self._sent) :])
        await self._connection.send(RealtimeTranscript("user", whole, final=True))
        return whole
