"""LiveKit's realtime session over a connection to Speko."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from livekit import rtc
from livekit.agents import llm, utils
from livekit.agents.metrics.base import Metadata
from livekit.agents.types import NOT_GIVEN, NotGivenOr

from ..log import logger
from .configuration import Configuration
from .conversation import Conversation
from .emitter import Emitter
from .history import History
from .outbox import Command, Outbox
from .reports import Reports
from .requests import fail
from .starter import Starter
from .tool_flow import ToolFlow
from .typed_text import TypedText
from .upstream import SessionSettings, Upstream

if TYPE_CHECKING:
    from .model import SpekoRealtimeModel


class SpekoRealtimeSession(llm.RealtimeSession[Literal["speko"]]):
    """One call with a voice model. `SpekoRealtimeModel.session` makes it, for `AgentSession`.

    It connects in the background once it has its configuration, and stays the same object for the
    whole call, whatever becomes of its connections. `aclose` leaves nothing.
    """

    def __init__(self, model: SpekoRealtimeModel, settings: SessionSettings) -> None:
        """Open nothing."""
        super().__init__(model)
        self._history = History()
        self._outbox = Outbox()
        self._emitter = Emitter(self.emit)
        reports = Reports(
            self._emitter.emit_metrics,
            settings.calls,
            model.label,
            Metadata(model_name=model.model, model_provider=model.provider),
        )
        self._configuration = Configuration(settings.options, self._history)
        self._conversation = Conversation(self._emitter.emit, self._outbox, reports, self._history)
        self._upstream = Upstream(
            settings,
            label=model.label,
            configuration=self._configuration,
            conversation=self._conversation,
            outbox=self._outbox,
            reports=reports,
            emitter=self._emitter,
            connected=self._report_connection_acquired,
        )
        self._starter = Starter(self._upstream.run, self._upstream.on_bug)
        # Audio, in seconds, that was pushed since the last commit.
        self._uncommitted_s = 0.0
        # What the user typed and the model was not given.
        self._typed = TypedText()

    @property
    def chat_ctx(self) -> llm.ChatContext:
        """Return the conversation as the model knows it, a copy."""
        return self._history.chat_ctx.copy()

    @property
    def tools(self) -> llm.ToolContext:
        """Return the tools of the next session."""
        return self._configuration.tools.copy()

    async def update_instructions(self, instructions: str) -> None:
        """Use these instructions from the next session of the service on."""
        self._configuration.use_instructions(instructions)
        self._starter.start_soon()

    async def update_tools(self, tools: list[llm.Tool]) -> None:
        """Use these tools from the next session of the service on."""
        self._configuration.use_tools(tools)
        self._starter.start_soon()

    async def update_chat_ctx(self, chat_ctx: llm.ChatContext) -> None:
        """Send results of tools; keep the rest for the next session of the service."""
        added = self._history.merge(chat_ctx)
        if not self._starter.has_started:
            self._starter.start_soon()
            return
        can_take_text = self._upstream.can_take_text
        if self._conversation.tools.send_results(added, can_take_text=can_take_text):
            self._upstream.renew_to_speak()
        self._typed.add(added)

    async def _update_session(
        self,
        *,
        instructions: NotGivenOr[str] = NOT_GIVEN,
        chat_ctx: NotGivenOr[llm.ChatContext] = NOT_GIVEN,
        tools: NotGivenOr[list[llm.Tool]] = NOT_GIVEN,
    ) -> None:
        await super()._update_session(instructions=instructions, chat_ctx=chat_ctx, tools=tools)
        self._starter.start()

    def update_options(self, *, tool_choice: NotGivenOr[llm.ToolChoice | None] = NOT_GIVEN) -> None:
        """Change nothing: the wire has no choice of tools."""
        if utils.is_given(tool_choice) and tool_choice not in (None, "auto"):
            self._configuration.name(
                "tool_choice", "the service takes no tool_choice for speech to speech"
            )

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        """Send a frame of any rate. Without a connection the last 2 s are kept."""
        if self._emitter.is_closed:
            return
        self._uncommitted_s += frame.duration
        self._outbox.push(frame)

    def push_video(self, frame: rtc.VideoFrame) -> None:
        """Ignore video: the service takes none."""
        self._configuration.name("video", "the service takes no video for speech to speech")

    def generate_reply(
        self,
        *,
        instructions: NotGivenOr[str] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        tools: NotGivenOr[list[llm.Tool]] = NOT_GIVEN,
    ) -> asyncio.Future[llm.GenerationCreatedEvent]:
        """Request a reply: to a committed turn; to instructions or text where the wire has them.

        Returns:
            The reply, or `RealtimeError` where it can't be requested or does not begin in 10 s.
        """
        wanted = instructions if utils.is_given(instructions) else None
        if wanted is not None:
            wanted = "\n\n".join([wanted, *self._conversation.tools.take_news()])
        typed = self._typed.take()
        if self._emitter.is_closed:
            future: asyncio.Future[llm.GenerationCreatedEvent] = asyncio.Future()
            return fail(future, llm.RealtimeError("the session is closed", code="closed"))
        self._starter.start_soon()
        return self._upstream.request(wanted, typed)

    def commit_audio(self) -> None:
        """End the caller's turn, unless there is no audio or a reply has begun."""
        if self._uncommitted_s > 0 and self._conversation.commit():
            self._uncommitted_s = 0.0
            self._outbox.push(Command(kind="commit"))

    def clear_audio(self) -> None:
        """Drop the audio that was not sent."""
        self._outbox.drop_audio()
        self._outbox.push(Command(kind="clear"))
        self._uncommitted_s = 0.0

    def interrupt(self) -> None:
        """Cancel the reply that is being received. Does nothing without one."""
        self._conversation.interrupt()

    def truncate(
        self,
        *,
        message_id: str,
        modalities: list[Literal["text", "audio"]],
        audio_end_ms: int,
        audio_transcript: NotGivenOr[str] = NOT_GIVEN,
    ) -> None:
        """Note how much of a reply was heard, for the next session of the service."""
        heard = audio_transcript if utils.is_given(audio_transcript) else ""
        self._conversation.replies.hear(message_id, heard, audio_end_ms / 1000)

    def emit(self, event: Any, *args: Any) -> None:
        """Emit an event; a listener that fails does not end the call."""
        try:
            super().emit(event, *args)
        except TypeError:  # LiveKit's emitter logs every other error of a listener
            logger.exception("a listener of the realtime session failed", extra={"event": event})

    async def aclose(self) -> None:
        """Close the connection, and end every task, reply and future. Safe to call twice."""
        self._emitter.close()
        try:
            await self._starter.aclose()
            await self._upstream.aclose()
        finally:
            self._conversation.close()

    @property
    def tool_flow(self) -> ToolFlow:
        """Return what runs the tools of this session."""
        return self._conversation.tools
