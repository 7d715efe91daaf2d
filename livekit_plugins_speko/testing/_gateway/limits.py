"""The sizes that the gateway accepts.

The numbers of keywords, tool hops and prompt characters are the service's own, and a header line
has the size that servers accept by default. The other limits of the service are not public: these
are wide enough for any call and narrow enough to catch a request that grows without end.
"""

from __future__ import annotations

MAX_HEADER_LINE_BYTES = 8190
"""Of one header line, `name: value`; more is a 400, as from nginx (8 KiB), Apache and aiohttp."""
MAX_AUDIO_BYTES = 25 * 1024 * 1024
"""Of an upload to transcribe; more is a 413. About 13 minutes of 16 bit at 16000 Hz."""
MAX_JSON_BYTES = 4 * 1024 * 1024
"""Of a JSON body; more is a 413."""
MAX_KEYWORDS = 200
"""Of one transcription."""
MAX_PROMPT_CHARS = 2000
"""Of the free-text context of one transcription."""
MAX_MESSAGES = 2000
"""Of one completion."""
MAX_TOOLS = 128
"""Of one completion."""
MAX_TOOL_HOPS = 16
"""Of one completion: how often the service may run tools and ask the model again."""
MAX_TEXT_CHARS = 10_000
"""Of one synthesis."""
MAX_FRAME_BYTES = 1024 * 1024
"""Of one frame on a WebSocket; more closes it with 1009."""
