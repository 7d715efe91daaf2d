"""LiveKit's undocumented names: a failure here says which one a newer LiveKit has changed."""

from __future__ import annotations

from collections.abc import AsyncIterable
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import Agent, ModelSettings, __version__, stt, tts, vad

from livekit_plugins_speko import Speko, SpekoTTS
from livekit_plugins_speko._livekit import (
    LiveKitChanged,
    SessionTurn,
    is_expressive,
    stt_pipeline,
    turn_of,
    wrapped_voice,
)
from livekit_plugins_speko.testing import Transcript
from tests.cancel.answers import Held
from tests.helpers.eager_sessions import LEAD, PAUSE, REST, WORDS, eager_calling
from tests.helpers.session_line import spoken

CHANGED = f"livekit-agents {__version__} changed what livekit_plugins_speko/_livekit.py relies on:"


class Watcher(Agent):
    """Notes the pipeline that its STT node runs in."""

    def __init__(self) -> None:
        super().__init__(instructions="Listen.")
        # As LiveKit's variable has it. None where the variable is not set.
        self.pipeline: Any = None

    def stt_node(
        self, audio: AsyncIterable[rtc.AudioFrame], model_settings: ModelSettings
    ) -> AsyncIterable[stt.SpeechEvent | str]:
        self.pipeline = stt_pipeline().get(None)
        return Agent.default.stt_node(self, audio, model_settings)

    def turn(self) -> SessionTurn:
        assert self.pipeline is not None, (
            f"{CHANGED} _STTPipelineContextVar is not set in the task of a session's STT node"
        )
        turn = turn_of(self.pipeline)
        assert turn is not None, f"{CHANGED} Agent._activity is None while the agent runs"
        return turn


async def test_stream_finds_the_turn_of_its_session(voice_detector: vad.VAD) -> None:
    agent = Watcher()
    async with eager_calling(voice_detector, agent=agent) as call:
        call.gateway.transcribe.always(Transcript("Hello."))
        held = Held("audio/pcm;rate=24000", spoken("Once", 1.0))
        call.gateway.synthesize.script(held)
        call.caller.say(LEAD, WORDS, PAUSE)
        await call.interims(1)
        turn = agent.turn()
        assert not turn.ended_by_hand, f"{CHANGED} _turn_detection"
        assert not turn.agent_speaks, f"{CHANGED} current_speech of an agent that is silent"
        most = call.session.options.preemptive_generation["max_retries"]
        assert turn.replies_left == most - 1, f"{CHANGED} _preemptive_generation_count"
        call.caller.say(REST)
        await held.settled()
        await call.until(lambda: call.session.agent_state == "speaking", "the reply")
        assert agent.turn().agent_speaks, f"{CHANGED} current_speech of an agent that speaks"
        call.session.update_options(turn_detection="manual")
        assert agent.turn().ended_by_hand, f"{CHANGED} _turn_detection set during a call"


def test_context_variable_is_unset_outside_a_session() -> None:
    assert stt_pipeline().get(None) is None


class Node:
    """The objects below a pipeline, with LiveKit's names."""

    def __init__(self) -> None:
        self._activity: Any = SimpleNamespace(
            _turn_detection="vad",
            _preemptive_generation_count=1,
            current_speech=SimpleNamespace(interrupted=False),
            vad=object(),
            preemptive_generation_opts={"max_retries": 3},
        )

    def stt_node(self) -> None: ...


def pipeline_of(node: Node) -> Any:
    return SimpleNamespace(_stt_node=node.stt_node)


def test_turn_is_read_from_its_activity() -> None:
    turn = turn_of(pipeline_of(Node()))
    assert turn == SessionTurn(ended_by_hand=False, agent_speaks=True, replies_left=2)


def test_no_turn_between_two_agents() -> None:
    node = Node()
    node._activity = None
    assert turn_of(pipeline_of(node)) is None


@pytest.mark.parametrize("name", sorted(vars(Node()._activity)))
def test_missing_name_of_an_activity_is_named(name: str) -> None:
    node = Node()
    delattr(node._activity, name)
    with pytest.raises(LiveKitChanged, match=f"^livekit-agents {__version__} has no .*{name}$"):
        turn_of(pipeline_of(node))


def test_every_other_missing_name_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LiveKitChanged, match="has no SimpleNamespace._stt_node$"):
        turn_of(SimpleNamespace())
    node = Node()
    del node._activity
    with pytest.raises(LiveKitChanged, match="has no Node._activity$"):
        turn_of(pipeline_of(node))
    few = Node()
    few._activity.preemptive_generation_opts.clear()
    with pytest.raises(LiveKitChanged, match="max_retries"):
        turn_of(pipeline_of(few))
    nothing: Any = object()
    with pytest.raises(LiveKitChanged, match="has no object._expressive$"):
        is_expressive(nothing)
    with pytest.raises(LiveKitChanged, match="has no object._wrapped_tts$"):
        wrapped_voice(nothing)
    monkeypatch.delattr("livekit.agents.voice.audio_recognition._STTPipelineContextVar")
    with pytest.raises(LiveKitChanged, match="_STTPipelineContextVar$"):
        stt_pipeline()


def test_voice_of_livekits_own_adapter_is_found() -> None:
    voice: tts.TTS[Any] = SpekoTTS(speko=Speko(api_key="key"), intent={"language": "en"})
    found = wrapped_voice(tts.StreamAdapter(tts=voice))
    assert found is voice, f"{CHANGED} tts.StreamAdapter._wrapped_tts"


def test_voice_is_expressive_while_the_session_enables_it() -> None:
    voice: tts.TTS[Any] = SpekoTTS(speko=Speko(api_key="key"), intent={"language": "en"})
    for expressive in (False, True):
        voice._set_expressive(expressive)
        assert is_expressive(voice) is expressive, f"{CHANGED} TTS._expressive"
