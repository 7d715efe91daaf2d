"""Rules instead of a language model: the engine of `/v1/complete` in the demo.

This is not a language model. It is a table of patterns with one answer each: a greeting, its name,
the time and the date, opening hours, simple sums, one long story, what was asked before, what the
caller's page shows, thanks and goodbye. It calls a tool that takes a city and is about the weather
or the time, and puts the tool's result into words. To everything else it says that it did not
understand.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from livekit_plugins_speko.testing import GatewayRequest, ProviderRoute, Reply, ToolCall

from .sums import find_sum

Message = Mapping[str, Any]
Tool = Mapping[str, Any]

ROUTE = ProviderRoute(provider="rules", model="no-language-model")

GREETING = "Hello! I am the demo assistant. What can I do for you?"
ABILITIES = "I can tell the time, the weather in a city, simple sums and a story."
NOT_UNDERSTOOD = f"Sorry, I did not get that. {ABILITIES}"
WHICH_CITY = "In which city?"
NOTHING_ASKED = "You have not asked me anything before."
STORY = (
    "Gladly. Once upon a time there was a lighthouse keeper who lived alone on a small island. "
    "Every evening she climbed the hundred and twenty steps and lit the great lamp. "
    "One winter the wind blew for nine days, and no ship could be seen on the sea. "
    "On the tenth day a little boat came out of the fog, and in it sat an old man with a cat. "
    "He had followed the light for two nights without food and without sleep. "
    "She made him a soup, and the cat got the fish, and they talked until the morning. "
    "From that day on there were always two lamps in the window, and nobody on that coast was lost."
)

# A user's message that the caller did not say, and a question about it.
_CONTEXT = re.compile(r"\[Context from the caller's page[^]]*\]\s*")
_ABOUT_PAGE = re.compile(r"\b(look(ing)? at|(on|about) my (page|screen))\b", re.I)
NOTHING_KNOWN = "Your page has not told me anything."

_CITY = re.compile(r"\b(?:in|for|at)\s+((?:[A-Z][\w'-]+)(?:\s+[A-Z][\w'-]+)*)")
_EARLIER = re.compile(r"\bwhat did i (just )?(ask|say)\b", re.I)
_CITY_PARAMETERS = ("city", "location", "place", "town")


@dataclass(frozen=True)
class Topic:
    """A subject of tools that take a city."""

    # Matches a question about it.
    pattern: re.Pattern[str]
    # The word that a fitting tool has in its name or description.
    word: str
    # The reply when no city was named; None leaves that to the rules.
    without_city: str | None


TOPICS = (
    Topic(re.compile(r"\b(weather|rain|snow|sunny|forecast)\b", re.I), "weather", WHICH_CITY),
    Topic(re.compile(r"\b(what time|the time|how late)\b", re.I), "time", None),
)


@dataclass(frozen=True)
class Rule:
    """A pattern to search in the user's words, and the answer to it."""

    pattern: re.Pattern[str]
    answer: Callable[[datetime], str]


def _rule(pattern: str, answer: str | Callable[[datetime], str]) -> Rule:
    say = answer if callable(answer) else lambda now: answer
    return Rule(re.compile(pattern, re.I), say)


def _time(now: datetime) -> str:
    return f"It is {now:%I:%M %p}.".replace(" 0", " ")


def _date(now: datetime) -> str:
    return f"Today is {now:%A}, {now:%B} {now.day}."


# The first pattern that is found wins, so requests stand before mere politeness.
RULES: tuple[Rule, ...] = (
    _rule(r"\bstory\b", STORY),
    _rule(TOPICS[0].pattern.pattern, "I have no way to look at the weather."),
    _rule(
        r"\b(open|opening|closing) (hours|times?)\b|\bare you open\b|\bdo you (open|close)\b",
        "We are open from nine to five, Monday to Friday.",
    ),
    _rule(r"\bwhat time\b|\bthe time\b", _time),
    _rule(r"\bwhat (day|date)\b|\bthe date\b|\bwhich day\b", _date),
    _rule(
        r"\bwho are you\b|\byour name\b|\bwhat are you\b",
        "I am the demo assistant, made of a few rules.",
    ),
    _rule(r"\bwhat can you do\b|\bhelp\b", ABILITIES),
    _rule(r"\b(goodbye|bye|good night|see you)\b", "You are welcome. Goodbye!"),
    _rule(r"\bthank(s| you)\b", "You are welcome."),
    _rule(r"\b(stop|wait|never mind|hold on)\b", "All right, I am listening."),
    _rule(r"\b(hello|hi|hey|good (morning|afternoon|evening))\b", GREETING),
)


def answer(
    messages: Sequence[Message], tools: Sequence[Tool] = (), *, now: datetime | None = None
) -> str | ToolCall:
    """Choose the next step of a conversation.

    Args:
        messages: The conversation so far, in the wire's spelling.
        tools: The tools on offer, in the wire's spelling.
        now: The time to report; None takes the clock's.

    Returns:
        The words to say, or the tool to call first.
    """
    spoken, known = _without_context(messages)
    if not spoken:
        return GREETING
    if spoken[-1]["role"] == "tool":
        return _tell_results(spoken)
    said = next((m["content"] for m in reversed(spoken) if m["role"] == "user"), None)
    if said is None:
        return GREETING
    if _EARLIER.search(said):
        return _tell_earlier(spoken)
    if (asked := _ask_tool(said, tools)) is not None:
        return asked
    if _ABOUT_PAGE.search(said):
        return f"Your page tells me: {known[-1]}" if known else NOTHING_KNOWN
    if (result := find_sum(said)) is not None:
        return f"That is {result}."
    for rule in RULES:
        if rule.pattern.search(said):
            return rule.answer(now or datetime.now())
    return NOT_UNDERSTOOD


def _tell_earlier(spoken: Sequence[Message]) -> str:
    asked = [message["content"] for message in spoken if message["role"] == "user"][:-1]
    return f"You asked me: {asked[-1]}" if asked else NOTHING_ASKED


def _without_context(messages: Sequence[Message]) -> tuple[list[Message], list[str]]:
    """Return what was said, and apart from it what the caller's page let the agent know."""
    spoken: list[Message] = []
    known: list[str] = []
    for message in messages:
        label = _CONTEXT.match(message["content"]) if message["role"] == "user" else None
        if label is not None:
            known.append(message["content"][label.end() :])
        elif message["role"] != "system":
            spoken.append(message)
    return spoken, known


def _ask_tool(said: str, tools: Sequence[Tool]) -> str | ToolCall | None:
    city = _CITY.search(said)
    for topic in TOPICS:
        if not topic.pattern.search(said):
            continue
        for tool in tools:
            parameter = _city_parameter(tool, topic.word)
            if parameter is not None:
                return ToolCall(tool["name"], {parameter: city[1]}) if city else topic.without_city
    return None


def _city_parameter(tool: Tool, word: str) -> str | None:
    """Return the city parameter of a tool about `word`; None for a tool that does not fit."""
    about = re.split(r"[\W_]+", f"{tool['name']} {tool.get('description', '')}".lower())
    properties = tool.get("parameters", {}).get("properties", {})
    fitting = (name for name in _CITY_PARAMETERS if name in properties and word in about)
    return next(fitting, None)


def _tell_results(spoken: Sequence[Message]) -> str:
    results: list[str] = []
    for message in reversed(spoken):
        if message["role"] != "tool":
            break
        failed = bool(message.get("isError"))
        results.insert(0, "Sorry, that did not work." if failed else _in_words(message["content"]))
    return " ".join(results)


def _in_words(content: str) -> str:
    """Put a tool's result into words: a JSON object as `key: value` pairs, other text unchanged."""
    try:
        result = json.loads(content)
    except ValueError:
        result = content
    if isinstance(result, Mapping):
        pairs = [f"{key.replace('_', ' ')}: {value}" for key, value in result.items()]
        return ", ".join(pairs).capitalize() + "."
    text = str(result).strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


class RulesModel:
    """The rules as an engine, with the delays of a model.

    It keeps no state between requests, so any number can be answered at once.
    """

    def __init__(self, *, first_s: float = 0.15, between_s: float = 0.02) -> None:
        """Make the engine.

        Args:
            first_s: The time to the first word or tool call, in seconds.
            between_s: The time from one word to the next, in seconds.
        """
        self._first_s = first_s
        self._between_s = between_s

    async def __call__(self, request: GatewayRequest) -> Reply:
        """Answer a request: words one by one, or a tool call."""
        body = request.json
        tools = [] if body.get("toolChoice") == "none" else body.get("tools", [])
        prompt_tokens = sum(len(message["content"].split()) for message in body["messages"])
        chosen = answer(body["messages"], tools)
        if isinstance(chosen, ToolCall):
            await asyncio.sleep(self._first_s)
            return Reply(tool_calls=[chosen], prompt_tokens=prompt_tokens, route=ROUTE)
        return Reply(
            self._words(chosen),
            prompt_tokens=prompt_tokens,
            completion_tokens=len(chosen.split()),
            route=ROUTE,
        )

    async def _words(self, text: str) -> AsyncIterator[str]:
        await asyncio.sleep(self._first_s)
        for word in re.findall(r"\s*\S+", text):
            yield word
            await asyncio.sleep(self._between_s)
