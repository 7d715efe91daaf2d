"""Frames, credentials, metadata and packets that hypothesis makes of the words of each wire."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.documents import from_bytes, words_of
from tests.fuzz.targets import NEW_WIRES, TARGETS

ODD_NUMBERS = st.sampled_from([1e308, -1e308, 1e300, 10**400, 2**63, -1, 0.0, float("nan")])
# Deeper than Python may recurse, or a part of it.
DEPTHS = st.sampled_from([50, 300, 600, 950, 5_000])


def documents(name: str) -> st.SearchStrategy[bytes]:
    """JSON of a wire's words, with a nest in it that may be deep."""
    words = st.sampled_from(words_of(TARGETS[name].examples))
    leaves = st.none() | st.booleans() | st.integers() | ODD_NUMBERS | st.floats() | words
    values = st.recursive(
        leaves | st.text(max_size=8) | st.text(st.characters(), max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=6),
        max_leaves=16,
    )
    known = st.sampled_from([json.loads(text) for text in TARGETS[name].examples])
    changed = st.builds(lambda old, new: {**old, **new}, known, st.dictionaries(words, values))
    made = st.builds(_with_nest, changed, words, DEPTHS)
    return (changed.map(json.dumps) | made).map(str.encode)


def _with_nest(document: dict[str, object], key: str, depth: int) -> str:
    """A document with a nest of lists at a key."""
    text = json.dumps({**document, key: "<nest>"})
    return text.replace('"<nest>"', "[" * depth + "]" * depth)


@pytest.mark.parametrize("name", NEW_WIRES)
@given(data=st.data())
def test_any_document_is_parsed_or_refused(name: str, data: st.DataObject) -> None:
    TARGETS[name].check(data.draw(documents(name)))


@pytest.mark.parametrize("name", NEW_WIRES)
@given(data=st.binary(max_size=80))
def test_any_bytes_make_a_document_that_is_parsed_or_refused(name: str, data: bytes) -> None:
    target = TARGETS[name]
    target.check(from_bytes(data, words_of(target.examples), target.examples))


@pytest.mark.parametrize("name", sorted(TARGETS))
@example(data=b"")
@example(data=b"\xff\xfe{}")
@given(data=st.binary(max_size=80))
def test_any_bytes_are_parsed_or_refused(name: str, data: bytes) -> None:
    TARGETS[name].check(data)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_examples_are_taken(name: str) -> None:
    for text in TARGETS[name].examples:
        TARGETS[name].check(text.encode())
