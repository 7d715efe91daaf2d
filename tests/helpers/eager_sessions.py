"""Complete sessions whose caller pauses as a test requires, faster than real time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from livekit.agents import Agent, UserInputTranscribedEvent, stt, vad
from livekit.agents.types import APIConnectOptions
from livekit.agents.voice.turn import EndpointingOptions

from livekit_plugins_speko import Speko, create_speko_components
from livekit_plugins_speko.stt.stream_adapter import SpekoSTTAdapter
from livekit_plugins_speko.testing import Answer, GatewayRequest, LocalGateway, Reply
from tests.helpers.session_calls import ONCE, Call, make_session
from tests.helpers.session_line import FRAME_BYTES, WORDS_BYTES, Caller, say, spoken
from tests.helpers.support import FIXTURES, read_wav

WORDS = read_wav((FIXTURES / "goodbye.wav").read_bytes())[3][:WORDS_BYTES]
MORE_WORDS = read_wav((FIXTURES / "story.wav").read_bytes())[3][:WORDS_BYTES]


def quiet(seconds: float) -> bytes:
    return bytes(2 * round(16_000 * seconds))


LEAD = quiet(0.5)
"""Before the first word: a session that begins to listen may miss some of it."""
HESITATION = quiet(0.3)
"""A pause inside of a sentence."""
PAUSE = quiet(0.45)
"""Long enough for an early request, as Silero detects silence late. Too short for an end."""
REST = quiet(0.6)
"""Silence that ends the utterance after a `PAUSE`."""

AT_ONCE: EndpointingOptions = {"min_delay": 0.0, "max_delay": 0.0}
"""Endpointing that commits a turn as soon as the caller has ended."""
NOT_SOON: EndpointingOptions = {"min_delay": 60.0, "max_delay": 60.0}
"""Endpointing that commits no turn as long as a test lasts."""


class EagerCaller(Caller):
    """A caller who speaks only when the test requests it."""

    def say(self, *pcm: bytes) -> None:
        whole = b"".join(pcm)
        for at in range(0, len(whole), FRAME_BYTES):
            self._frames.put_nowait(whole[at : at + FRAME_BYTES].ljust(FRAME_BYTES, b"\0"))


class TextCall(Call):
    """A call that reports each transcript.

    Attributes:
        interim: Texts that were not final, in order; a preflight transcript is one of them.
        final: Texts that were.
    """

    caller: EagerCaller

    def __init__(self, session: Any, gateway: LocalGateway) -> None:
        super().__init__(session, gateway)
        self.caller = EagerCaller()
        self.interim: list[str] = []
        self.final: list[str] = []
        session.on("user_input_transcribed", self._note_text)

    async def turn_over(self, name: str = "") -> None:
        """Wait until the agent has taken one turn more, and listens again.

        A turn may have replies that were given up ahead of it.
        """
        self._seen += 1
        told = 2 * self._seen
        await self.until(
            lambda: len(self.history) >= told and self._listens(), f"turn {self._seen} ({name})"
        )

    async def commit(self) -> None:
        """Commit the caller's turn under any endpointing, and wait for it."""
        await self.until(lambda: self.session.user_state == "listening", "the end of speech")
        self.session.update_options(endpointing_opts=AT_ONCE)
        self.session.commit_user_turn()
        await self.turn_over()

    async def interims(self, times: int) -> list[str]:
        await self.until(lambda: len(self.interim) >= times, f"interim transcript {times}")
        return self.interim

    async def finals(self, times: int) -> list[str]:
        await self.until(lambda: len(self.final) >= times, f"final transcript {times}")
        return self.final

    def asked(self) -> list[str]:
        """The caller's text in each request to the model, in order."""
        return [question_in(each) for each in self.gateway.requests_to("complete")]

    def assert_answered(self, *questions: str) -> None:
        """Each of these had one reply, spoken completely and once, and nothing else had."""
        replies = [answer_to(each) for each in questions]
        assert self.history == [
            each
            for question, reply in zip(questions, replies, strict=True)
            for each in (("user", question), ("assistant", reply))
        ]
        spoken_texts = [each.json["text"] for each in self.gateway.requests_to("synthesize")]
        assert " ".join(spoken_texts) == " ".join(replies), (spoken_texts, replies)
        assert self.ear.take() == b"".join(map(spoken, spoken_texts))
        assert self.errors == []

    def _note_text(self, event: UserInputTranscribedEvent) -> None:
        (self.final if event.is_final else self.interim).append(event.transcript)
        self._note(event)


class EagerCall(TextCall):
    """A call through the eager adapter, which is `adapter`."""

    def __init__(self, session: Any, gateway: LocalGateway, adapter: SpekoSTTAdapter) -> None:
        super().__init__(session, gateway)
        self.adapter = adapter


def question_in(request: GatewayRequest) -> str:
    said = [each["content"] for each in request.json["messages"] if each["role"] == "user"]
    return str(said[-1])


def answer_to(question: str) -> str:
    return f"This is the answer to {question}"


async def answer(request: GatewayRequest, /) -> Answer:
    """An engine that repeats the question."""
    return Reply(answer_to(question_in(request)))


@asynccontextmanager
async def eager_calling(
    voice_detector: vad.VAD,
    *,
    agent: Agent | None = None,
    shared: SpekoSTTAdapter | None = None,
    wrap: Callable[[SpekoSTTAdapter], stt.STT[Any]] | None = None,
    conn_options: APIConnectOptions = ONCE,
    max_errors: int = 3,
    close_timeout_s: float = 0.0,
    **options: Any,
) -> AsyncIterator[EagerCall]:
    """A call through the eager adapter. When it is over nothing is left on the network.

    Its STT is the `shared` one, if there is one, or what `wrap` makes of it. The options are
    those of `AgentSession.update_options`.
    """
    async with LocalGateway() as gateway:
        gateway.synthesize.use(say)
        gateway.complete.use(answer)
        async with Speko(base_url=gateway.base_url, api_key=gateway.api_key) as speko:
            components = create_speko_components(
                speko=speko,
                vad=voice_detector,
                intent={"language": "en"},
                stt_options={"eager": True},
            )
            used = components if shared is None else components._replace(stt=shared)
            parts: Any = used if wrap is None else used._replace(stt=wrap(used.stt))  # type: ignore[arg-type]
            adapter = parts.stt if isinstance(parts.stt, SpekoSTTAdapter) else used.stt
            assert isinstance(adapter, SpekoSTTAdapter)
            session = make_session(parts, voice_detector, conn_options, max_errors, close_timeout_s)
            if options:
                session.update_options(**options)
            call = EagerCall(session, gateway, adapter)
            session.input.audio, session.output.audio = call.caller, call.ear
            await session.start(agent=agent or Agent(instructions="You are a concierge."))
            try:
                yield call
            finally:
                await session.aclose()
                await components.aclose()
            await gateway.idle(connections=100)  # idle ones are the client's to keep
        await gateway.idle()
