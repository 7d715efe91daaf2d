"""A job's metadata: settings that make components, or a ValueError that doesn't quote all of it."""

from __future__ import annotations

from livekit_plugins_speko import SessionSettings

EXAMPLES = (
    '{"sessionId": "s1", "intent": {"language": "en", "region": "eu", "optimizeFor": "latency"},'
    ' "constraints": {"allowedProviders": {"stt": ["acme"]}}, "voice": "v", "systemPrompt": "p"}',
    '{"first_message": "", "agent_id": "a", "session_id": "s", "llm": {"temperature": 0}}',
)


def check(data: bytes) -> None:
    """Read metadata, and make the options of components of it."""
    text = data.decode("utf-8", "replace")
    try:
        settings = SessionSettings.from_metadata(text, intent={"language": "en"})
    except ValueError as error:
        assert str(error).startswith("SessionSettings")
        assert len(str(error)) < 1_000
        return
    assert isinstance(settings.for_components(), dict)
    assert isinstance(repr(settings), str)
