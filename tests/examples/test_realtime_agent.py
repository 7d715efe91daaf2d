"""The agent with a voice model that users copy."""

from __future__ import annotations

import runpy

from livekit.agents import Agent

from tests.helpers.realtime_calls import USAGE, agent, calling, speech, tool_call, user
from tests.repo.pages import ROOT

_EXAMPLE = ROOT / "examples" / "realtime_agent.py"


async def test_agent_replies_and_uses_its_tool() -> None:
    example = runpy.run_path(str(_EXAMPLE))
    # Without the greeting: the server has no voice.
    assistant = Agent(instructions=example["INSTRUCTIONS"], tools=example["Assistant"]().tools)
    async with calling(
        agent=assistant, build_session=lambda speko: example["build_session"](speko, "xai:voice-1")
    ) as call:
        body = call.server.requests[0][0]["s2s"]
        assert (body["provider"], body["model"]) == ("xai", "voice-1")
        arguments = '{"city": "Tokyo"}'
        await call.line.say(user("Time?"), tool_call("c1", "get_local_time", arguments))
        result = await call.line.until_message("tool_result")
        assert result["output"].endswith(" in Tokyo")
        await call.line.say(speech(), agent("It is noon."), USAGE)
        await call.until(lambda: call.history[-1] == ("assistant", "It is noon."))


async def test_service_chooses_the_model_unless_one_is_named() -> None:
    example = runpy.run_path(str(_EXAMPLE))
    async with calling(
        agent=Agent(instructions=""), build_session=example["build_session"]
    ) as call:
        body = call.server.requests[0][0]
        assert body["intent"]["language"] == "en-US"
        assert not {"provider", "model"} & set(body["s2s"])
