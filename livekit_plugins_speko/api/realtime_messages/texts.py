"""Texts of a conversation that grow, and where they end. No I/O."""

from __future__ import annotations

from ..realtime_events import Role, Transcript


class GrowingText:
    """One role's utterance, which comes piece by piece or as the whole so far."""

    def __init__(self, role: Role) -> None:
        self._role = role
        # All of the utterance so far. Empty between two utterances.
        self.text = ""

    def append(self, piece: str) -> list[Transcript]:
        """Take the next piece."""
        return self.replace(self.text + piece) if piece else []

    def replace(self, text: str) -> list[Transcript]:
        """Take the whole so far, which is not empty."""
        self.text = text
        return [Transcript(role=self._role, text=text, final=False)]

    def finish(self, text: str = "") -> list[Transcript]:
        """End the utterance, with its whole text where it is known. A blank one has no final."""
        text, self.text = text or self.text, ""
        return [Transcript(role=self._role, text=text, final=True)] if text.strip() else []

    def drop(self) -> None:
        """Forget the utterance."""
        self.text = ""


class GuessedText:
    """One role's utterances on a wire that does not say if a text is a piece or the whole so far.

    Once a text begins with the one before it, the texts of the role are cumulative for good, and
    replace each other. Until then a text is a piece.
    """

    def __init__(self, role: Role) -> None:
        self._growing = GrowingText(role)
        # True once a text began with the one before it.
        self._is_cumulative = False
        # The latest text of the utterance, as it came. Empty before its first.
        self._latest = ""

    @property
    def is_open(self) -> bool:
        """Return True during an utterance."""
        return bool(self._growing.text)

    def drop(self) -> None:
        """Forget the utterance."""
        self._growing.drop()
        self._latest = ""

    def feed(self, text: str, *, final: bool) -> list[Transcript]:
        """Take a text as it came. An empty final ends the utterance with what came before."""
        whole = self._growing.text
        if self._latest and text.startswith(self._latest):
            self._is_cumulative = True
        # A final may repeat all of the pieces before it.
        is_whole = self._is_cumulative or (final and text.startswith(whole))
        joined = text if text and is_whole else whole + text
        if final:
            self._latest = ""
            return self._growing.finish(joined)
        self._latest = text or self._latest
        return self._growing.replace(joined) if text else []


class CallerText(GuessedText):
    """The caller's utterances. One without a final ends after the reply to it."""

    def __init__(self) -> None:
        super().__init__("user")
        # True once a reply to the utterance under way began, and once that reply is over.
        self._is_answered = self._is_over = False
        # True until the end of a reply that was cut: it is no reply to what is said since.
        self._is_rest_due = False

    def feed(self, text: str, *, final: bool) -> list[Transcript]:
        """Take a text as it came. Only a whole final may follow the reply to its utterance."""
        if self._is_over and text and not (final and text.startswith(self._growing.text)):
            self.drop()
        events = super().feed(text, final=final)
        if final:
            self._is_answered = self._is_over = False
        return events

    def drop(self) -> None:
        """Forget the utterance."""
        super().drop()
        self._is_answered = self._is_over = False

    def reply_came(self) -> None:
        """Note a piece of a reply."""
        self._is_answered |= self.is_open and not self._is_rest_due

    def reply_cut(self) -> None:
        """Note that the reply under way was cut."""
        self._is_rest_due = True

    def reply_ended(self) -> None:
        """Note the end of a reply."""
        self._is_over, self._is_rest_due = self._is_answered, False

    def interrupted(self) -> None:
        """Note that the caller began to speak: an utterance with a reply is over."""
        if self._is_answered:
            self.drop()


class ReplyEnds:
    """Where an utterance of the agent ends whose final does not come: as the next one begins.

    Once its reply is over, words may still be its own, but audio is another reply's.
    """

    def __init__(self) -> None:
        # True once the reply is over.
        self._is_over = False
        # True once something led to another reply: words are another's, too.
        self._is_next_due = False

    def ended(self) -> None:
        """Note that the reply is over: by its usage, or because the model called a tool."""
        self._is_over = True

    def led_on(self) -> None:
        """Note what the next reply follows from: words of the caller, or a tool's result."""
        self._is_next_due = self._is_over

    def reset(self) -> None:
        """Note that the utterance has its end."""
        self._is_over = self._is_next_due = False

    def begin_next(self, *, is_audio: bool) -> bool:
        """Take a piece of the agent's; return True, once, if it begins another reply."""
        is_next = self._is_over and (is_audio or self._is_next_due)
        if is_next:
            self.reset()
        return is_next


class ReplyText(GuessedText):
    """The agent's utterances. Of one that the caller cut, a rest may come, which is no one's.

    An utterance without a final ends as the next reply begins.
    """

    def __init__(self) -> None:
        super().__init__("assistant")
        # True while the rest of an utterance that was cut may come.
        self._is_cut = False
        # True while words of the caller are due which led to what the agent says.
        self._is_line_due = False
        # True once audio or words came of a reply that is not over.
        self.has_begun = False
        self._ends = ReplyEnds()

    def feed(self, text: str, *, final: bool) -> list[Transcript]:
        """Take a text as it came, behind the end of the utterance before if that had none."""
        events = self._finish_before(is_audio=False)
        self.has_begun = True
        if final:
            self._ends.reset()
        return [*events, *super().feed(text, final=final)]

    def audio_came(self) -> list[Transcript]:
        """Note audio; end the utterance of a reply that was over."""
        self.has_begun = True
        return self._finish_before(is_audio=True)

    def ended(self) -> None:
        """Note that the reply is over: by its usage, or because the model called a tool."""
        self.skip_rest()
        self.has_begun = False
        if self.is_open:
            self._ends.ended()

    def answered(self) -> None:
        """Note that a tool's result was sent, to which the model replies."""
        self._ends.led_on()

    def cut(self) -> None:
        """End the utterance under way, if one is, without a final."""
        self._is_cut = self._is_cut or self.has_begun or self.is_open
        self.has_begun = False
        self._ends.reset()
        self.drop()

    def interrupted(self) -> None:
        """Note that the caller began to speak."""
        self._is_line_due = True
        self.cut()

    def committed(self) -> None:
        """Note that the caller's turn was committed, whose words may follow the reply."""
        self._is_line_due = True

    def caller_said(self, *, is_first: bool) -> None:
        """Note words of the caller. The first of a line that is not due cut the agent."""
        if is_first and not self._is_line_due:
            self.cut()
        else:
            self.skip_rest()
        if not self._is_line_due:
            self._ends.led_on()
        self._is_line_due = False

    def skip_rest(self) -> None:
        """Begin anew if the utterance before was cut, since no more of it comes."""
        if self._is_cut:
            self._is_cut = self.has_begun = False
            self.drop()

    def _finish_before(self, *, is_audio: bool) -> list[Transcript]:
        if not self._ends.begin_next(is_audio=is_audio):
            return []
        return super().feed("", final=True)
