"""The sizes that the gateway lets pass.

The 200 keywords and the length of the prompt are the service's own limits. The others are not
public; these stand for them: wide enough for any call, narrow enough to catch what runs away.
"""

from __future__ import annotations

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
MAX_TEXT_CHARS = 10_000
"""Of one synthesis."""
