"""Completions: the options of a model and of a call, and the requests they make."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import spekoai
from livekit.agents import llm
from livekit.agents.types import NOT_GIVEN

from livekit_plugins_speko import ChatTool, PipelineConstraints, Speko, SpekoLLM
from livekit_plugins_speko.testing import LocalGateway, Reply
from tests.helpers.llm_calls import INTENT, chat, make_llm, texts
from tests.helpers.support import NO_RETRY, conversation

LOOKUP: dict[str, Any] = {"name": "lookup", "description": "Look up.", "parameters": {}}


# Requests


def without_voice_flag(body: dict[str, Any], client: Any) -> dict[str, Any]:
    """A request's body but `voiceOptimized`, which `Speko` sends by default."""
    expected = [True] if isinstance(client, Speko) else []
    assert [value for name, value in body.items() if name == "voiceOptimized"] == expected
    return {name: value for name, value in body.items() if name != "voiceOptimized"}


async def test_voice_flag_can_be_turned_off(gateway: LocalGateway, speko: Speko) -> None:
    gateway.complete.script(Reply("Hi."))
    await chat(make_llm(speko, voice_optimized=False))
    assert "voiceOptimized" not in gateway.requests[0].json


async def test_every_option_is_sent(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("Hi."))
    model = make_llm(
        client,
        temperature=0.5,
        max_tokens=80,
        constraints=PipelineConstraints({"llm": ["openai:gpt-5"]}),
        session_id=" session-1 ",
        tools=[LOOKUP],
    )
    await chat(model, tool_choice="required", parallel_tool_calls=True)
    (request,) = gateway.requests
    assert request.session_id == "session-1"
    assert without_voice_flag(request.json, client) == {
        "messages": [{"role": "user", "content": "hi"}],
        "intent": {"language": "en-US", "region": "global", "optimizeFor": "latency"},
        "temperature": 0.5,
        "maxTokens": 80,
        "constraints": {"allowedProviders": {"llm": ["openai:gpt-5"]}},
        "tools": [LOOKUP],
        "toolChoice": "required",
        "parallelToolCalls": True,
    }


@pytest.mark.parametrize("not_given", [{}, {"tools": []}, {"tool_choice": NOT_GIVEN}])
async def test_unset_options_are_not_sent(
    gateway: LocalGateway, client: Any, not_given: dict[str, Any]
) -> None:
    gateway.complete.script(Reply("Hi."))
    await chat(make_llm(client, intent={"language": "en"}), **not_given)
    (request,) = gateway.requests
    assert sorted(without_voice_flag(request.json, client)) == ["intent", "messages"]
    assert request.json["intent"] == {"language": "en"}
    assert request.session_id is None


@pytest.mark.parametrize(
    "choice",
    ["auto", "none", "required", {"type": "function", "function": {"name": "lookup"}}],
)
async def test_tool_choice_is_forwarded(gateway: LocalGateway, client: Any, choice: Any) -> None:
    gateway.complete.script(Reply("Hi."))
    await chat(make_llm(client, tools=[LOOKUP]), tool_choice=choice)
    assert gateway.requests[0].json["toolChoice"] == choice


async def test_parallel_calls_can_be_forbidden(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("Hi."))
    await chat(make_llm(client), parallel_tool_calls=False)
    assert gateway.requests[0].json["parallelToolCalls"] is False


async def test_temperature_of_zero_is_sent(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("Hi."), Reply("Hi."))
    await chat(make_llm(client, temperature=0))
    await chat(make_llm(client, temperature=1), extra_kwargs={"temperature": 0.0})
    assert [request.json["temperature"] for request in gateway.requests] == [0, 0]


async def test_extra_options_apply_to_one_call(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.always(Reply("Hi."))
    model = make_llm(client, temperature=0.5, max_tokens=80)
    extra = {"temperature": 0.1, "max_tokens": 9, "max_tool_hops": 2}
    await chat(model, extra_kwargs=extra)
    await chat(model)
    first, second = (request.json for request in gateway.requests)
    assert (first["temperature"], first["maxTokens"], first["maxToolHops"]) == (0.1, 9, 2)
    assert (second["temperature"], second["maxTokens"]) == (0.5, 80)
    assert "maxToolHops" not in second
    assert extra == {"temperature": 0.1, "max_tokens": 9, "max_tool_hops": 2}


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ({"top_p": 1}, 'SpekoLLM: unknown option "top_p" in extra_kwargs. Expected: temperature,'),
        ({"temperature": "hot"}, "SpekoLLM: temperature must be a number from 0 to 2, got 'hot'."),
        ({"max_tokens": 0}, "SpekoLLM: max_tokens must be a whole number, 1 or more, got 0."),
        ({"max_tool_hops": -1}, "SpekoLLM: max_tool_hops must be a whole number"),
    ],
)
async def test_invalid_extra_option_is_refused_at_once(
    speko: Speko, extra: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError) as raised:
        make_llm(speko).chat(chat_ctx=conversation(), extra_kwargs=extra)
    assert text in str(raised.value)


@llm.function_tool
async def get_weather(city: str) -> str:
    """Tell the weather."""
    return f"sunny in {city}"


async def test_function_tools_are_sent_as_inline_tools(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("Hi."))
    await chat(make_llm(client), tools=[get_weather])
    (tool,) = gateway.requests[0].json["tools"]
    assert (tool["name"], tool["description"]) == ("get_weather", "Tell the weather.")
    assert tool["parameters"]["required"] == ["city"]
    assert sorted(tool) == ["description", "name", "parameters"]


async def test_constructor_tool_wins_over_a_call_tool(gateway: LocalGateway, client: Any) -> None:
    gateway.complete.script(Reply("Hi."))
    tools = [ChatTool(name="get_weather", description="Another."), ChatTool(name="lookup")]
    await chat(make_llm(client, tools=tools), tools=[get_weather])
    sent = gateway.requests[0].json["tools"]
    assert [(tool["name"], tool["description"]) for tool in sent] == [
        ("get_weather", "Another."),
        ("lookup", ""),
    ]


async def test_tool_calls_and_outputs_are_sent_with_the_conversation(
    gateway: LocalGateway, client: Any
) -> None:
    gateway.complete.script(Reply("Sunny."))
    context = conversation(("developer", "Be kind."), ("user", "Weather?"))
    call = llm.FunctionCall(call_id="a", name="get_weather", arguments="{}")
    output = llm.FunctionCallOutput(call_id="a", output="no network", is_error=True)
    context.items.extend([call, output])
    async with make_llm(client).chat(chat_ctx=context, conn_options=NO_RETRY) as stream:
        assert [chunk async for chunk in stream]
    wire_call = {"id": "a", "name": "get_weather", "args": "{}"}
    assert gateway.requests[0].json["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "toolCalls": [wire_call]},
        {"role": "tool", "content": "no network", "toolCallId": "a", "isError": True},
    ]


# The constructor


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"intent": {}}, "SpekoAdapter: intent.language is required (BCP-47 tag)"),
        (
            {"intent": {"language": "en", "optimize_for": "speed"}},
            'SpekoAdapter: unknown optimize_for "speed". '
            "Expected one of: balanced, accuracy, latency, cost.",
        ),
        ({"constraints": {"allowed_providers": {"vad": []}}}, '"vad"'),
        ({"temperature": "hot"}, "SpekoLLM: temperature must be a number from 0 to 2, got 'hot'."),
        (
            {"temperature": float("nan")},
            "SpekoLLM: temperature must be a number from 0 to 2, got nan.",
        ),
        ({"temperature": True}, "SpekoLLM: temperature must be a number from 0 to 2, got True."),
        ({"max_tokens": 0}, "SpekoLLM: max_tokens must be a whole number, 1 or more, got 0."),
        ({"max_tokens": 1.5}, "SpekoLLM: max_tokens must be a whole number, 1 or more, got 1.5."),
        ({"session_id": 7}, "SpekoLLM: session_id must be a string, got int."),
        ({"session_id": "ü"}, "SpekoLLM: session_id must be printable ASCII, got 'ü'."),
        ({"session_id": "a\nb"}, "SpekoLLM: session_id must be printable ASCII, got 'a\\nb'."),
        ({"tools": [{"parameters": {}}]}, "a tool must have a name"),
        ({"agent_id": " "}, "agent_id must be the id of an agent, got ' '."),
    ],
)
def test_invalid_option_is_refused_at_once(
    speko: Speko, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError) as raised:
        make_llm(speko, **options)
    assert text in str(raised.value)


def test_synchronous_client_is_refused_by_name() -> None:
    with (
        spekoai.Speko(api_key="key") as client,
        pytest.raises(TypeError, match=r"SpekoLLM: .*async client, got the synchronous Speko"),
    ):
        make_llm(client)


def test_any_other_client_is_refused_by_type() -> None:
    with pytest.raises(TypeError, match="SpekoLLM: .*got str"):
        make_llm("key")


@pytest.mark.parametrize(
    ("option", "remedy"),
    [("api_base_url", "Speko(base_url=...)"), ("api_key", "Speko(api_key=...)")],
)
async def test_options_of_the_typescript_package_are_ignored_with_a_warning(
    gateway: LocalGateway, speko: Speko, option: str, remedy: str
) -> None:
    gateway.complete.script(Reply("Hi."))
    with pytest.warns(DeprecationWarning) as caught:
        model = make_llm(speko, **{option: "http://127.0.0.1:9/secret"})
    (warning,) = caught
    assert f"SpekoLLM: {option} is ignored" in str(warning.message)
    assert remedy in str(warning.message) and "secret" not in str(warning.message)
    assert texts(await chat(model)) == ["Hi."]


def test_warning_names_the_callers_line(speko: Speko) -> None:
    """Python shows deprecations only where the caller's own code causes them."""
    with pytest.warns(DeprecationWarning) as caught:
        SpekoLLM(speko=speko, intent=INTENT, api_key="key")
    assert caught[0].filename == __file__


def test_no_warning_without_these_options(speko: Speko) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_llm(speko, api_base_url=None, api_key=None)
