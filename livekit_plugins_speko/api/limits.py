"""Bounds of what one call sends in a header, and of what is held of its response."""

from __future__ import annotations

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""Largest server-sent event, in bytes, with the comments before it. A larger one is an error."""

MAX_JSON_BYTES = 4 * 1024 * 1024
"""Largest response in JSON, in bytes: an older service's, or a list of tools."""

MAX_ERROR_BYTES = 64 * 1024
"""Most bytes read of an error's body. The rest says nothing more."""

MAX_TOOLS = 1_000
"""Most rows in a list of registered tools. Models take a hundred or two."""

MAX_WAITING_CHUNKS = 64
"""Most reads of a response that wait for its reader. Then the service is held up."""

MAX_KEYWORDS = 200
"""Most keywords that the service takes with one transcription."""

MAX_PROMPT_CHARS = 2_000
"""Longest prompt that the service takes with one transcription."""

MAX_STT_OPTIONS_BYTES = 6_900
"""Longest value of ``X-Speko-Stt-Options``, in bytes. With its name the header stays under 7 KB;
servers refuse one of 8 KB."""
