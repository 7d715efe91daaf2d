"""How much of an answer is held at once. What is larger is refused, and ends as an error."""

from __future__ import annotations

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""How large one server-sent event may be, in bytes, with the comments in front of it."""

MAX_JSON_BYTES = 4 * 1024 * 1024
"""How large an answer in JSON may be, in bytes: an older service's, or a list of tools."""

MAX_ERROR_BYTES = 64 * 1024
"""How much of an error's body is read, in bytes. The rest says nothing more."""

MAX_TOOLS = 1_000
"""How many rows a list of registered tools may have. Models take a hundred or two."""

MAX_WAITING_CHUNKS = 64
"""How many reads of an answer may wait for whoever takes them. The service is held up then."""
