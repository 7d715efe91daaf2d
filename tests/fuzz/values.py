"""Any JSON as Python reads it, with the names that the service uses among its keys."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.fuzz.payloads import EVENTS

KEYS = st.sampled_from(
    [
        *("text", "confidence", "provider", "model", "failoverCount", "scoresRunId", "hop"),
        *("usage", "promptTokens", "completionTokens", "toolCalls", "id", "name", "args"),
        *("status", "error", "code", "description", "parameters", "source", "kind"),
        *("executionMode", "preToolSpeech"),
    ]
)
# With characters that JSON can escape and UTF-8 can't hold.
TEXTS = st.text(st.characters(), max_size=8) | st.sampled_from(["inline", "a", "\ud83d", "{}"])
NUMBERS = st.integers() | st.integers(10**300, 10**400) | st.floats()
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXTS, inner, max_size=6),
    max_leaves=12,
)
ANY_OBJECTS = st.dictionaries(KEYS | TEXTS, JSON, max_size=8)
CALLS = st.fixed_dictionaries({"id": TEXTS, "name": TEXTS, "args": TEXTS})
USAGE = st.fixed_dictionaries({}, optional={"promptTokens": JSON, "completionTokens": NUMBERS})
# Most of their fields as they should be, so that a strange one is not the second of two.
LIKELY_OBJECTS = st.fixed_dictionaries(
    {"text": TEXTS, "id": TEXTS, "name": TEXTS, "args": TEXTS},
    optional={
        "usage": USAGE | JSON,
        "toolCalls": st.lists(CALLS | JSON, max_size=3),
        "confidence": NUMBERS,
        "error": TEXTS,
        "code": TEXTS,
        "failoverCount": JSON,
    },
)
OBJECTS = LIKELY_OBJECTS | ANY_OBJECTS
NAMES = st.sampled_from(EVENTS)
LIKELY_ROWS = st.fixed_dictionaries(
    {"name": TEXTS, "parameters": ANY_OBJECTS, "source": st.fixed_dictionaries({"kind": TEXTS})},
    optional={"description": TEXTS, "preToolSpeech": TEXTS},
)
ROWS = LIKELY_ROWS | JSON
