"""LiveKit's realtime session over a connection to Speko."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, llm, utils
from livekit.agents.metrics.base import Metadata
from livekit.agents.types import NOT_GIVEN, NotGivenOr

from .._call import Calls
from ..api.realtime_events import Error, RealtimeEvent
from ..api.realtime_options import RealtimeOptions
from ..api.timing import Timing
from ..api.types import Route
from ..log import logger
from .configuration import Configuration
from .connections import Connection, Connector
from .conversation import Conversation
from .history import History
from .link import Link
from .outbox import Command, Outbox
from .reports import Reports
from .requester import Requester
from .requests import fail
from .tool_flow import ToolFlow

if TYPE_CHECKING:
    from .model import SpekoRealtimeModel

CONFIGURATION_WAIT_S = 0.02
"""Wait, in seconds, for the rest of the configuration, which may come piece by piece."""

_AFTER_TOOL = "Tell the caller the result of the tool."


@dataclass(frozen=True, kw_only=True)
class SessionSettings:
    """The facts about a session that do not change.

    Attributes:
        options: Options of the service's sessions, without prompt and tools.
        connector: Makes its connections.
        conn_options: Attempts to connect.
        calls: Takes its `route` events.
    """

    options: RealtimeOptions
    connector: Connector
    conn_options: APIConnectOptions
    calls: Calls


class SpekoRealtimeSession(llm.RealtimeSession[Literal["speko"]]):
    """One call with a voice model. `SpekoRealtimeModel.session` makes it, for `AgentSession`.

    It connects in the background once it has its configuration, and stays the same object for the
    whole call, whatever becomes of its connections. `aclose` leaves nothing.
    """

    def __init__(self, model: SpekoRealtimeModel, settings: SessionSettings) -> None:
        """Open nothing."""
        super().__init__(model)
        self._settings = settings
        self._history = History()
        self._outbox = Outbox()
        metadata = Metadata(model_name=model.model, model_provider=model.provider)
        self._reports = Reports(self._report_metrics, settings.calls, model.label, metadata)
        self._conversation = Conversation(self._forward, self._outbox, self._reports, self._history)
        self._link = Link(self, settings.connector, self._outbox, settings.conn_options)
        self._requester = Requester(self._conversation, self._outbox)
        self._configuration = Configuration(settings.options, self._history)
        # Starts the link a moment after the first piece of the configuration. None before.
        self._start_timer: asyncio.TimerHandle | None = None
        # The link's task. None before the configuration is complete.
        self._task: asyncio.Task[None] | None = None
        # Audio, in seconds, that was pushed since the last commit.
        self._uncommitted_s = 0.0
        # What the user typed and the model was not given. None without it.
        self._typed: str | None = None
        # True if the next session begins with a reply to a tool's result.
        self._must_speak = False
        # True from `aclose` on, and once the link gave up: nothing is emitted any more.
        self._is_closed = False

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
        self._configure()

    async def update_tools(self, tools: list[llm.Tool]) -> None:
        """Use these tools from the next session of the service on."""
        self._configuration.use_tools(tools)
        self._configure()

    async def update_chat_ctx(self, chat_ctx: llm.ChatContext) -> None:
        """Send results of tools; keep the rest for the next session of the service."""
        added = self._history.merge(chat_ctx)
        if self._task is None:
            self._configure()
            return
        connection = self._link.connection
        can_take_text = connection is not None and connection.can_take_text
        if self._conversation.tools.send_results(added, can_take_text=can_take_text):
            self._must_speak = True
            self._link.renew()
        typed = [each for each in added if isinstance(each, llm.ChatMessage)]
        if typed and typed[-1].role == "user":
            self._typed = typed[-1].text_content

    async def _update_session(
        self,
        *,
        instructions: NotGivenOr[str] = NOT_GIVEN,
        chat_ctx: NotGivenOr[llm.ChatContext] = NOT_GIVEN,
        tools: NotGivenOr[list[llm.Tool]] = NOT_GIVEN,
    ) -> None:
        await super()._update_session(instructions=instructions, chat_ctx=chat_ctx, tools=tools)
        self._start()

    def update_options(self, *, tool_choice: NotGivenOr[llm.ToolChoice | None] = NOT_GIVEN) -> None:
        """Change nothing: the wire has no choice of tools."""
        if utils.is_given(tool_choice) and tool_choice not in (None, "auto"):
            self._configuration.name(
                "tool_choice", "the service takes no tool_choice for speech to speech"
            )

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        """Send a frame of any rate. Without a connection the last 2 s are kept."""
        if self._is_closed:
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
        typed, self._typed = self._typed, None
        if self._is_closed:
            future: asyncio.Future[llm.GenerationCreatedEvent] = asyncio.Future()
            return fail(future, llm.RealtimeError("the session is closed", code="closed"))
        return self._requester.request(wanted, typed, self._link.connection)

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

    async def aclose(self) -> None:
        """Close the connection, and end every task, reply and future. Safe to call twice."""
        if self._start_timer is not None:
            self._start_timer.cancel()
        if self._task is not None:
            await utils.aio.cancel_and_wait(self._task)
        self._is_closed = True
        self._conversation.close()

    @property
    def tool_flow(self) -> ToolFlow:
        """Return what runs the tools of this session."""
        return self._conversation.tools

    @property
    def is_quiet(self) -> bool:
        """Return True at a good moment for a new session of the service."""
        return self._conversation.is_quiet

    @property
    def left_s(self) -> float:
        """Return the seconds of audio that are still to be played."""
        return self._conversation.replies.playback.left_s

    def connect_options(self) -> Mapping[str, Any]:
        """Return the options of the next session, with the history in its prompt."""
        return self._configuration.connect_options()

    def on_connected(self, connection: Connection, seconds: float, *, again: bool) -> None:
        """Take a new connection."""
        self._reports.route = Route(
            provider=self._settings.options.provider or "unknown",
            model=self._settings.options.model or "unknown",
        )
        self._report_connection_acquired(seconds)
        if again:
            self._forward("session_reconnected", llm.RealtimeSessionReconnectedEvent())
        if self._must_speak and not self._link.is_renewal_due:
            self._must_speak = False
            kind: Literal["reply", "commit"] = "reply" if connection.can_take_text else "commit"
            text = _AFTER_TOOL if connection.can_take_text else None
            self._outbox.push(Command(kind=kind, text=text))
            self._conversation.tools.await_reply()
        self._requester.send_waiting(connection)

    def on_event(self, event: RealtimeEvent) -> bool:
        """Take an event; return True if it is real traffic."""
        if isinstance(event, Error) and not self._conversation.fail_request(event):
            body = {"error": event.message, "code": event.code}
            error = APIError(f"Speko: {event.message} ({event.code})", body=body, retryable=True)
            self.on_failure(error, None, recoverable=True)
        return self._conversation.take(event)

    def on_dropped(self, reason: str) -> None:
        """End what is under way."""
        self._conversation.drop(reason)

    def on_failure(self, error: Exception, timing: Timing | None, *, recoverable: bool) -> None:
        """Report a failure. After one that is not recoverable nothing else is emitted."""
        if timing is not None:
            self._reports.failed(timing)
        if not recoverable:
            self._conversation.close()
        self._forward(
            "error",
            llm.RealtimeModelError(
                timestamp=time.time(),
                label=self.realtime_model.label,
                error=error,
                recoverable=recoverable,
            ),
        )
        self._is_closed = self._is_closed or not recoverable

    def _configure(self) -> None:
        """Start soon: the fallback adapter configures piece by piece."""
        if self._task is None and self._start_timer is None and not self._is_closed:
            loop = asyncio.get_running_loop()
            self._start_timer = loop.call_later(CONFIGURATION_WAIT_S, self._start)

    def _start(self) -> None:
        if self._start_timer is not None:
            self._start_timer.cancel()
        if self._task is None and not self._is_closed:
            self._task = asyncio.create_task(self._link.run(), name="speko_realtime")
            self._task.add_done_callback(self._on_link_done)

    def _on_link_done(self, task: asyncio.Task[None]) -> None:
        """Report a programming error: the session must not live on, deaf."""
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, Exception):
            logger.error("the realtime session failed", exc_info=error)
            self.on_failure(error, None, recoverable=False)

    def _forward(self, event: Any, payload: Any) -> None:
        if not self._is_closed:
            self.emit(event, payload)

    def _report_metrics(self, event: Any, payload: Any) -> None:
        """Emit metrics, in `aclose` too."""
        self.emit(event, payload)
