"""Any bytes, any JSON, any conversation, cut anywhere: a result, or a documented error."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import httpx
from hypothesis import example, given, settings
from hypothesis import strategies as st
from livekit.agents import llm

from livekit_plugins_speko import Speko, SpekoAdapterError, SpekoApiError, chat_context_to_speko
from tests.fuzz import content_type, event_stream, payloads, tool_rows, wav
from tests.fuzz.values import NAMES, OBJECTS, ROWS, TEXTS
from tests.helpers.client_calls import complete, synthesize, transcribe
from tests.helpers.decoding_calls import audio_format, decoded
from tests.helpers.raw_server import EVENT_STREAM, RawServer, answer
from tests.helpers.tools_calls import filled_row
from tests.helpers.wav_files import PCM, chunk, fmt, riff

# Each example has a server of its own.
OVER_SOCKETS = settings(max_examples=30)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """The same bytes in pieces, some of them empty."""
    ends = [0, *sorted(at % (len(data) + 1) for at in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(ends)]


cuts = st.lists(st.integers(0, 10_000), max_size=12)

# Audio

some_chunks = st.lists(
    st.one_of(
        st.builds(
            fmt,
            kind=st.sampled_from([1, 1, 1, 7, 0xFFFE]),
            channels=st.sampled_from([1, 1, 2, 0, 20_000]),
            rate=st.sampled_from([24_000, 16_000, 0, 32_000]),
            bits=st.sampled_from([16, 16, 16, 8, 24]),
        ).map(lambda made: made[:24]),
        st.builds(
            chunk,
            st.sampled_from([b"data", b"LIST", b"fmt ", b"JUNK"]),
            st.binary(max_size=40) | st.just(PCM),
            size=st.none() | st.sampled_from([0, 1, 16, 2**31, 2**32 - 1]),
        ),
        st.binary(max_size=9),
        st.just(riff(fmt(), chunk(b"data", PCM))),
    ),
    max_size=5,
)


@given(chunks=some_chunks, cuts=cuts)
def test_a_wav_of_any_chunks_is_read_in_pieces_as_it_is_whole(
    chunks: list[bytes], cuts: list[int]
) -> None:
    file = riff(*chunks)
    wav.check(file, cut(file, cuts))


media_types = st.sampled_from(["audio/pcm", "audio/wav", "AUDIO/L16 ", "audio/flac", "", "text/a"])
parameters = st.sampled_from(["rate", "channels", "Rate", "codecs", ""])
numbers = st.sampled_from(["24000", "16000", "2", "3", "0", '"8000"', "999999999", "-1", "٢", ""])


@given(
    kind=media_types,
    parameter=st.dictionaries(parameters, numbers, max_size=3),
    body=st.binary(max_size=60) | some_chunks.map(lambda chunks: riff(*chunks)),
    cuts=cuts,
    convert=st.booleans(),
)
async def test_audio_of_any_type_is_decoded_or_refused(
    kind: str, parameter: dict[str, str], body: bytes, cuts: list[int], convert: bool
) -> None:
    said = "; ".join([kind, *(f"{name}={value}" for name, value in parameter.items())])
    try:
        pcm = await decoded(cut(body, cuts), audio_format(said, convert=convert))
    except SpekoAdapterError:
        return
    assert pcm and (convert or len(pcm) <= len(body))


@example(data=b'Audio/PCM; Rate="16000"; channels=2\nabcd')
@example(data=b"audio/L16;endianness=big-endian;bits=24\nabcd")
@given(data=st.binary(min_size=1, max_size=80))
def test_any_content_type_and_any_bytes_are_audio_or_an_error(data: bytes) -> None:
    content_type.check(data)


# JSON


@example(name="delta", payload={"text": "\ud83d"})
@given(name=NAMES, payload=OBJECTS)
def test_any_object_is_an_event_that_livekit_can_serialize(
    name: str, payload: dict[str, Any]
) -> None:
    payloads.check(name, json.dumps(payload).encode())


@given(name=NAMES, text=st.binary(max_size=80))
def test_any_bytes_are_an_event_or_an_error(name: str, text: bytes) -> None:
    payloads.check(name, text)


@example(row=tool_rows.HUGE_NUMBER)
@given(row=ROWS)
def test_any_row_is_a_tool_that_can_be_sent_or_a_value_error(row: Any) -> None:
    # JSON has no infinity, but numbers that are too large for a float.
    tool_rows.check(json.dumps(row).replace("Infinity", "1e999").encode())


@OVER_SOCKETS
@given(bad=st.lists(ROWS, max_size=6), good=st.integers(1, 4), seed=st.randoms())
async def test_no_bad_row_costs_a_good_one(bad: list[Any], good: int, seed: Any) -> None:
    names = [f"good-{number}" for number in range(good)]
    places = sorted(seed.randrange(len(bad) + 1) for _ in names)
    listed = list(bad)
    for shift, (place, name) in enumerate(zip(places, names, strict=True)):
        listed.insert(place + shift, filled_row(name))
    said = answer(json.dumps(listed), headers={"Content-Type": "application/json"})
    async with RawServer(said) as server, Speko(api_key="k", base_url=server.base_url) as speko:
        tools = await speko.agents.tools.list_chat_tools("agent-1")
    assert [tool.name for tool in tools if tool.name in names] == names
    assert len(tools) <= len(listed)


# Event streams

lines = st.one_of(
    st.builds(
        "{}:{}{}".format,
        st.sampled_from(["event", "data", "id", "retry", "", "dat", "data "]),
        st.sampled_from(["", " "]),
        st.sampled_from(["delta", "done", "error", "transcript", '{"text":"Grüße"}', "{}", "["])
        | st.text(max_size=6),
    ),
    st.just(""),
)
bodies = st.builds(
    lambda joined, newline: newline.join(joined).encode("utf-8", "replace"),
    st.lists(lines, max_size=14),
    st.sampled_from(["\n", "\r\n", "\r"]),
) | st.binary(max_size=60)


@example(body=b': keepalive\r\n\r\nevent:done\rdata:{"text":"\xc3\xbc"}\r\r', size=7)
@given(body=bodies, size=st.integers(1, 40))
async def test_any_event_stream_is_read_in_pieces_as_it_is_whole(body: bytes, size: int) -> None:
    await event_stream.check(body, size)


@OVER_SOCKETS
@given(body=bodies, cuts=cuts, whole=st.booleans())
async def test_any_event_stream_over_a_socket_ends_in_a_result_or_a_known_error(
    body: bytes, cuts: list[int], whole: bool
) -> None:
    said = answer(cut(body, cuts), headers=EVENT_STREAM, whole=whole)
    async with RawServer(said) as server, Speko(api_key="k", base_url=server.base_url) as speko:
        for call in (complete, transcribe):
            try:
                await asyncio.wait_for(call(speko), 5)
            except (SpekoApiError, httpx.RemoteProtocolError) as error:
                assert str(error)


# Headers

header_values = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20)
header_names = st.sampled_from(
    [
        *("Content-Type", "X-Speko-Audio-Format", "X-Speko-Provider", "X-Speko-Failover-Count"),
        *("Retry-After", "X-Speko-First-Byte-Ms", "Content-Encoding", "Location"),
    ]
)


@OVER_SOCKETS
@given(
    headers=st.dictionaries(header_names, header_values, max_size=5),
    status=st.sampled_from([200, 200, 301, 400, 401, 429, 503]),
)
async def test_any_headers_end_in_a_result_or_a_known_error(
    headers: dict[str, str], status: int
) -> None:
    said = answer(b"{}", status=status, headers=headers)
    async with RawServer(said) as server, Speko(api_key="k", base_url=server.base_url) as speko:
        for call in (complete, transcribe, synthesize):
            try:
                await asyncio.wait_for(call(speko), 5)
            except SpekoApiError as error:
                assert error.status == status
            except httpx.RemoteProtocolError as error:
                # httpx parses where a redirect points even when it does not follow it.
                assert status == 301 and "location" in str(error)


# Conversations

roles = st.sampled_from(["developer", "system", "user", "assistant"])
ids = st.sampled_from(["a", "b", "c"])
items = st.one_of(
    st.builds(
        lambda role, text: llm.ChatMessage(role=role, content=text),
        roles,
        st.lists(TEXTS, max_size=2),
    ),
    st.builds(
        lambda call_id, text: llm.FunctionCall(call_id=call_id, name="f", arguments=text),
        ids,
        TEXTS,
    ),
    st.builds(
        lambda call_id, text, failed: llm.FunctionCallOutput(
            call_id=call_id, name="f", output=text, is_error=failed
        ),
        ids,
        TEXTS,
        st.booleans(),
    ),
    st.builds(llm.AgentHandoff, new_agent_id=ids),
)


@given(items=st.lists(items, max_size=12), include=st.booleans())
def test_any_conversation_becomes_messages_that_the_service_accepts(
    items: list[Any], include: bool
) -> None:
    context = llm.ChatContext(items)
    before = context.to_dict(exclude_timestamp=False)
    messages = chat_context_to_speko(context, include_tool_calls=include)
    assert context.to_dict(exclude_timestamp=False) == before
    assert len(messages) <= 2 * len(items)
    open_calls: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            assert message["toolCallId"] == open_calls.pop(0)
            continue
        assert not open_calls, "the result of every call precedes the next message"
        assert message["role"] in ("system", "user", "assistant")
        open_calls = [call["id"] for call in message.get("toolCalls", ())]
        assert open_calls or message["content"].strip()
    assert not open_calls and (include or not any("toolCalls" in each for each in messages))
    json.dumps(messages)
