"""What the adapters ask of a client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from .api.client import Speko
from .intent import OptimizeFor


class SpekoClient(Protocol):
    """What the adapters ask of a client. `Speko` has it, and so has ``spekoai.AsyncSpeko``."""

    @property
    def agents(self) -> Any:
        """Has ``tools.list_chat_tools(agent_id, *, available)``, a coroutine function."""
        ...

    async def transcribe(
        self,
        audio: bytes,
        *,
        language: str,
        region: str | None = None,
        optimize_for: OptimizeFor | None = None,
        content_type: str = "audio/wav",
        constraints: Any = None,
        session_id: str | None = None,
        keywords: list[str] | None = None,
        stt_language: str | None = None,
    ) -> Any:
        """Recognise one utterance."""
        ...

    def complete_stream(
        self,
        *,
        messages: list[Any],
        intent: Any,
        system_prompt: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        constraints: Any = None,
        tools: list[Any] | None = None,
        tool_choice: Any = None,
        parallel_tool_calls: bool | None = None,
        max_tool_hops: int | None = None,
        session_id: str | None = None,
    ) -> AsyncIterator[Any]:
        """Complete a conversation, event by event."""
        ...

    async def synthesize_stream(
        self,
        text: str,
        *,
        language: str,
        region: str | None = None,
        optimize_for: OptimizeFor | None = None,
        voice: str | None = None,
        model: str | None = None,
        speed: float | None = None,
        instructions: str | None = None,
        spoken_form: bool | None = None,
        constraints: Any = None,
        session_id: str | None = None,
    ) -> Any:
        """Speak a text. The answer is an async context manager that yields bytes."""
        ...


def require_client(speko: Any, owner: str) -> SpekoClient:
    """Return `speko` if it can be an adapter's client.

    Args:
        speko: What the user handed in.
        owner: The adapter's name, for the error's text.

    Raises:
        TypeError: A synchronous client, or an object without the protocol's methods.
    """
    found = type(speko).__name__
    if hasattr(type(speko), "__enter__") and not hasattr(type(speko), "__aenter__"):
        raise TypeError(
            f"{owner}: speko must be an async client, got the synchronous {found}. "
            "Use Speko, or AsyncSpeko of the official SDK."
        )
    if isinstance(speko, type):
        raise TypeError(
            f"{owner}: speko must be a client, got the type {speko.__name__}. "
            f"Make one: {speko.__name__}(api_key=...)."
        )
    for method in ("transcribe", "complete_stream", "synthesize_stream"):
        if not callable(getattr(speko, method, None)):
            raise TypeError(
                f"{owner}: speko must be a client such as Speko(api_key=...), got {found}, "
                f"which has no {method}()."
            )
    client: SpekoClient = speko
    return client


def prewarm(speko: SpekoClient) -> None:
    """Let a client open a connection ahead, if it can do so: `Speko` can."""
    if isinstance(speko, Speko):
        speko.prewarm()
