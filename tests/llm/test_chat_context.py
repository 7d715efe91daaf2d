"""From LiveKit's chat context and tools to Speko's messages and tools."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import llm

from livekit_plugins_speko import ChatTool, chat_context_to_speko
from livekit_plugins_speko._base import function_tools_to_speko

SILENCE = rtc.AudioFrame(bytes(320), 16_000, 1, 160)
RAW_SCHEMA: dict[str, Any] = {
    "name": "open_gate",
    "description": "Open a gate.",
    "parameters": {
        "type": "object",
        "properties": {"gate": {"type": "string", "default": None}},
        "additionalProperties": True,
    },
}


def says(role: str, *content: llm.ChatContent) -> llm.ChatMessage:
    return llm.ChatMessage.model_construct(type="message", role=role, content=list(content))


def calls(call_id: str, name: str = "get_weather", args: str = '{"city":"Paris"}') -> Any:
    return llm.FunctionCall(call_id=call_id, name=name, arguments=args)


def gives(call_id: str, text: str = "sunny", *, is_error: bool = False) -> Any:
    return llm.FunctionCallOutput(call_id=call_id, output=text, is_error=is_error)


def convert(*items: Any, include_tool_calls: bool = True) -> list[dict[str, Any]]:
    return chat_context_to_speko(
        llm.ChatContext(list(items)), include_tool_calls=include_tool_calls
    )


def called(*ids: str) -> dict[str, Any]:
    """The assistant message with these calls, in the wire's spelling."""
    wire = [{"id": i, "name": "get_weather", "args": '{"city":"Paris"}'} for i in ids]
    return {"role": "assistant", "content": "", "toolCalls": wire}


def given(call_id: str, text: str = "sunny") -> dict[str, Any]:
    """A tool's result, in the wire's spelling."""
    return {"role": "tool", "content": text, "toolCallId": call_id}


def texts(messages: list[dict[str, Any]]) -> list[str]:
    return [message["content"] for message in messages]


@pytest.mark.parametrize("include_tool_calls", [False, True])
@pytest.mark.parametrize(
    ("role", "wire_role"),
    [
        ("developer", "system"),
        ("system", "system"),
        ("user", "user"),
        ("assistant", "assistant"),
    ],
)
def test_roles_of_the_service_are_kept(role: str, wire_role: str, include_tool_calls: bool) -> None:
    messages = convert(says(role, "Hi."), include_tool_calls=include_tool_calls)
    assert messages == [{"role": wire_role, "content": "Hi."}]


@pytest.mark.parametrize("role", ["tool", "narrator", ""])
def test_message_of_any_other_role_is_dropped(role: str) -> None:
    messages = convert(says("user", "Hi."), says(role, "Boo."), says("user", "Bye."))
    assert texts(messages) == ["Hi.", "Bye."]


def test_messages_keep_the_order_of_the_context() -> None:
    messages = convert(
        says("assistant", "1"), says("user", "2"), says("system", "3"), says("user", "4")
    )
    assert texts(messages) == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    "content",
    [
        [],
        [""],
        [" \n\t"],
        [llm.ImageContent(image="https://example.com/a.png")],
        [llm.AudioContent(frame=[SILENCE])],
        # Not every LiveKit 1.8 has markers of the prompt's cache.
        [llm.CacheBreakpoint()] if hasattr(llm, "CacheBreakpoint") else [],
    ],
    ids=["nothing", "empty", "blank", "image", "audio", "cache breakpoint"],
)
def test_message_without_text_is_skipped(content: list[llm.ChatContent]) -> None:
    assert convert(says("user", *content)) == []


def test_text_beside_an_image_is_kept() -> None:
    image = llm.ImageContent(image="https://example.com/a.png")
    messages = convert(says("user", "What", image, "is this?"))
    assert messages == [{"role": "user", "content": "What\nis this?"}]


def test_white_space_and_line_ends_of_text_are_kept() -> None:
    assert texts(convert(says("user", "  ¿Qué?\u2028\n")))[0] == "  ¿Qué?\u2028\n"


def test_markup_of_assistant_messages_is_kept() -> None:
    """LiveKit's own plugins send the model-facing text; only the transcript has no tags."""
    said = '<expr type="expression" label="happy"/>Hello.'
    assert texts(convert(says("assistant", said))) == [said]


def test_empty_context_has_no_messages() -> None:
    assert convert() == []


def test_tool_calls_are_excluded_by_default() -> None:
    context = llm.ChatContext([says("user", "Weather?"), calls("a"), gives("a")])
    assert chat_context_to_speko(context) == [{"role": "user", "content": "Weather?"}]


def test_call_is_an_assistant_message_and_its_output_a_tool_message() -> None:
    assert convert(calls("a"), gives("a")) == [called("a"), given("a")]


def test_parallel_calls_share_one_assistant_message() -> None:
    """Their outputs follow in the order of the calls, not in that of their completion."""
    messages = convert(calls("a"), calls("b"), gives("b", "2"), gives("a", "1"))
    assert messages == [called("a", "b"), given("a", "1"), given("b", "2")]


def test_calls_with_an_output_between_them_are_two_turns() -> None:
    messages = convert(calls("a"), gives("a", "1"), calls("b"), gives("b", "2"))
    assert messages == [called("a"), given("a", "1"), called("b"), given("b", "2")]


@pytest.mark.parametrize(
    "between",
    [
        llm.AgentHandoff(new_agent_id="b"),
        llm.AgentConfigUpdate(instructions="Be brief."),
        says("user", " "),
        calls("lost"),
    ],
    ids=["handoff", "config update", "empty message", "call without output"],
)
def test_dropped_items_do_not_separate_adjacent_calls(between: Any) -> None:
    messages = convert(calls("a"), between, calls("b"), gives("a"), gives("b"))
    assert messages == [called("a", "b"), given("a"), given("b")]


def test_message_between_two_calls_separates_them() -> None:
    messages = convert(calls("a"), gives("a"), says("user", "And Rome?"), calls("b"), gives("b"))
    assert messages == [
        called("a"),
        given("a"),
        {"role": "user", "content": "And Rome?"},
        called("b"),
        given("b"),
    ]


def test_late_output_is_placed_right_after_its_call() -> None:
    """A caller who speaks while a tool runs comes between; no provider accepts that order."""
    messages = convert(calls("a"), calls("b"), gives("a"), says("user", "Hurry!"), gives("b", "2"))
    assert messages == [
        called("a", "b"),
        given("a"),
        given("b", "2"),
        {"role": "user", "content": "Hurry!"},
    ]


def test_call_is_kept_when_the_caller_speaks_before_its_output() -> None:
    messages = convert(calls("a"), says("user", "Hurry!"), gives("a"))
    assert messages == [called("a"), given("a"), {"role": "user", "content": "Hurry!"}]


def test_text_before_a_call_is_a_separate_message() -> None:
    messages = convert(says("assistant", "Let me see."), calls("a"), gives("a"))
    assert messages == [
        {"role": "assistant", "content": "Let me see."},
        called("a"),
        given("a"),
    ]


def test_output_without_its_call_is_left_out() -> None:
    messages = convert(gives("gone"), says("user", "Hi."), calls("a"), gives("a"), gives("gone"))
    assert messages == [{"role": "user", "content": "Hi."}, called("a"), given("a")]


def test_call_without_an_output_is_left_out() -> None:
    """A caller who barges in can end a turn before the tool; providers refuse half of a pair."""
    messages = convert(calls("lost"), says("user", "Never mind."), calls("b"), gives("b"))
    assert messages == [{"role": "user", "content": "Never mind."}, called("b"), given("b")]


def test_output_of_a_failed_tool_is_marked() -> None:
    messages = convert(calls("a"), gives("a", "no network", is_error=True))
    assert messages[1] == {**given("a", "no network"), "isError": True}


def test_tool_output_may_be_empty() -> None:
    assert convert(calls("a"), gives("a", ""))[1] == given("a", "")


def test_call_without_arguments_has_an_empty_object() -> None:
    messages = convert(calls("a", "get_time", ""), gives("a"))
    assert messages[0]["toolCalls"] == [{"id": "a", "name": "get_time", "args": "{}"}]


@pytest.mark.parametrize("include_tool_calls", [False, True])
def test_handoffs_and_configuration_updates_are_left_out(include_tool_calls: bool) -> None:
    messages = convert(
        llm.AgentConfigUpdate(instructions="Be brief."),
        says("user", "Hi."),
        llm.AgentHandoff(old_agent_id="a", new_agent_id="b"),
        include_tool_calls=include_tool_calls,
    )
    assert messages == [{"role": "user", "content": "Hi."}]


def test_context_is_not_changed() -> None:
    items = [says("developer", "Be kind."), calls("a"), gives("a"), calls("lost"), says("user")]
    context = llm.ChatContext(items)
    before = [item.model_copy(deep=True) for item in items]
    messages = chat_context_to_speko(context, include_tool_calls=True)
    messages.clear()
    assert context.items == before


@llm.function_tool
async def get_weather(city: str, days: int = 1) -> str:
    """Tell the weather.

    Args:
        city: Where.
    """
    return f"sunny in {city} for {days} days"


@llm.function_tool
async def hang_up() -> None: ...


@llm.function_tool(raw_schema=RAW_SCHEMA)
async def open_gate(raw_arguments: dict[str, object]) -> str:
    return "open"


class WebSearch(llm.ProviderTool):
    def __init__(self) -> None:
        super().__init__(id="web_search")


def test_function_tool_becomes_an_inline_tool_with_its_json_schema() -> None:
    (tool,) = function_tools_to_speko([get_weather])
    assert (tool.name, tool.description.strip()) == ("get_weather", "Tell the weather.")
    assert tool.parameters["type"] == "object"
    assert tool.parameters["properties"]["city"]["type"] == "string"
    assert tool.parameters["properties"]["city"]["description"] == "Where."
    assert tool.parameters["properties"]["days"]["type"] == "integer"
    assert (tool.execution_mode, tool.source, tool.pre_tool_speech) == (None, None, None)


def test_function_tools_schema_is_not_strict() -> None:
    """A strict one would make the model give every argument, those with a default too."""
    (tool,) = function_tools_to_speko([get_weather])
    assert tool.parameters["required"] == ["city"]
    assert "additionalProperties" not in tool.parameters


def test_function_without_a_docstring_has_an_empty_description() -> None:
    (tool,) = function_tools_to_speko([hang_up])
    assert (tool.name, tool.description) == ("hang_up", "")


def test_schema_of_a_raw_tool_is_unchanged() -> None:
    assert function_tools_to_speko([open_gate]) == [
        ChatTool(
            name="open_gate",
            description="Open a gate.",
            parameters=RAW_SCHEMA["parameters"],
        )
    ]


def test_description_and_parameters_of_a_raw_tool_are_optional() -> None:
    @llm.function_tool(raw_schema={"name": "ping", "parameters": {}})
    async def ping(raw_arguments: dict[str, object]) -> None: ...

    parameters = {"type": "object", "properties": {}}
    assert function_tools_to_speko([ping]) == [ChatTool(name="ping", parameters=parameters)]


def test_toolset_is_flattened_into_its_tools() -> None:
    gates = llm.Toolset(id="gates", tools=[open_gate])
    concierge = llm.Toolset(id="concierge", tools=[hang_up, gates])
    tools = function_tools_to_speko([get_weather, concierge])
    assert [tool.name for tool in tools] == ["get_weather", "hang_up", "open_gate"]


def test_provider_tool_is_left_out() -> None:
    assert [tool.name for tool in function_tools_to_speko([WebSearch(), hang_up])] == ["hang_up"]


@pytest.mark.parametrize("tools", [None, []])
def test_no_tools_become_none(tools: list[llm.Tool] | None) -> None:
    assert function_tools_to_speko(tools) == []


def test_reused_id_pairs_each_call_with_its_own_output() -> None:
    """Some models begin to count their calls anew in each turn."""
    again = convert(
        calls("call_0"),
        gives("call_0", "sunny"),
        says("user", "And now?"),
        calls("call_0"),
        gives("call_0", "rainy"),
    )
    assert again == [
        called("call_0"),
        given("call_0", "sunny"),
        {"role": "user", "content": "And now?"},
        called("call_0"),
        given("call_0", "rainy"),
    ]


def test_call_without_output_takes_none_from_a_later_turn() -> None:
    messages = convert(
        calls("call_0", args='{"city":"Rome"}'),
        says("user", "Never mind. Paris?"),
        calls("call_0"),
        gives("call_0"),
    )
    assert messages == [
        {"role": "user", "content": "Never mind. Paris?"},
        called("call_0"),
        given("call_0"),
    ]


def test_calls_that_share_an_id_pair_by_order_and_get_unique_ids() -> None:
    asked, first, second = convert(
        calls("a", args='{"city":"Paris"}'),
        calls("a", args='{"city":"Rome"}'),
        gives("a", "sunny"),
        gives("a", "rainy"),
    )
    sent = [(call["id"], call["args"]) for call in asked["toolCalls"]]
    assert sent == [("a", '{"city":"Paris"}'), ("a_2", '{"city":"Rome"}')]
    assert (first, second) == (given("a", "sunny"), given("a_2", "rainy"))


def test_id_that_a_repeated_call_gets_is_no_other_calls() -> None:
    sent = ("a", "a_2", "a", "a")
    asked, *results = convert(*map(calls, sent), *map(gives, sent))
    ids = [call["id"] for call in asked["toolCalls"]]
    assert ids == [result["toolCallId"] for result in results] == ["a", "a_2", "a_3", "a_4"]


def test_calls_that_share_an_id_pair_by_name() -> None:
    time_output = llm.FunctionCallOutput(
        name="get_time", call_id="a", output="noon", is_error=False
    )
    weather = llm.FunctionCallOutput(
        name="get_weather", call_id="a", output="sunny", is_error=False
    )
    asked, *results = convert(calls("a"), calls("a", "get_time", "{}"), time_output, weather)
    by_id = {call["id"]: call["name"] for call in asked["toolCalls"]}
    assert {by_id[result["toolCallId"]]: result["content"] for result in results} == {
        "get_weather": "sunny",
        "get_time": "noon",
    }


@pytest.mark.parametrize(
    ("arguments", "replayed"),
    [
        ('{"city": "Paris"}', '{"city": "Paris"}'),
        ('{"city":  "Zoë"}', '{"city":  "Zoë"}'),
        ("Paris please", "{}"),
        ("   ", "{}"),
        ("", "{}"),
        ('{"city": NaN}', "{}"),
        ('{"city": -Infinity}', "{}"),
        ('["Paris"]', "{}"),
        ('"Paris"', "{}"),
        ("null", "{}"),
        ("5", "{}"),
        ('{"city": "Paris"', '{"city": "Paris"}'),
        ("{'city': 'Paris'}", '{"city": "Paris"}'),
        ('"{\\"city\\": \\"Paris\\"}"', '{"city": "Paris"}'),
        ("[" * 100_000, "{}"),
    ],
)
def test_arguments_are_replayed_as_a_json_object(arguments: str, replayed: str) -> None:
    (asked, result) = convert(calls("a", args=arguments), gives("a", "no such city"))
    assert asked["toolCalls"][0]["args"] == replayed
    assert result["content"] == "no such city"


@llm.function_tool
async def search(
    query: str,
    max_price: float = math.inf,
    least: float = -math.inf,
    ratio: float = math.nan,
    limit: float = 5.0,
) -> str:
    """Search the shop."""
    return ""


def test_default_that_json_cannot_represent_is_left_out_of_the_schema() -> None:
    (tool,) = function_tools_to_speko([search])
    json.dumps(tool.parameters, allow_nan=False)
    properties = tool.parameters["properties"]
    assert properties["limit"]["default"] == 5.0
    assert "default" not in {
        **properties["max_price"],
        **properties["least"],
        **properties["ratio"],
    }
    assert tool.parameters["required"] == ["query"]


def test_infinite_numbers_are_removed_from_a_raw_schema() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "n": {"enum": [1, math.inf], "maximum": math.inf, "minimum": 0},
            "range": {"type": "array", "default": [1, math.inf]},
        },
    }

    @llm.function_tool(raw_schema={"name": "count", "description": "", "parameters": schema})
    async def count(raw_arguments: dict[str, object]) -> str:
        return ""

    (tool,) = function_tools_to_speko([count])
    assert tool.parameters["properties"] == {
        "n": {"enum": [1], "minimum": 0},
        "range": {"type": "array"},
    }
