"""Packets by the thousand, of every kind that a hostile page could send."""

from __future__ import annotations

import asyncio
import itertools
import json
import time

from tests.e2e.page import Page

# As many are on their way at once.
AT_ONCE = 50
PAD = "x" * 200


def junk(number: int) -> tuple[bytes, str]:
    """One packet and its topic: foreign, malformed, large, or of a page."""
    update = json.dumps({"type": "contextual_update", "text": f"flood {number}", "pad": PAD})
    wishes = {"agent": {"prompt": f"flood {number}"}, "tts": {"speed": 2}}
    return (
        (update.encode(), ""),
        (json.dumps({"type": "overrides", "overrides": wishes}).encode(), "speko.control"),
        (b"\xff" * 200, ""),
        (b"[" * 2_000, ""),
        (update.encode(), "another-topic"),
    )[number % 5]


async def flood(page: Page, count: int) -> float:
    """Send so many packets as fast as they go out; returns the seconds that it took."""
    began_s = time.monotonic()
    numbers = iter(range(count))
    while batch := list(itertools.islice(numbers, AT_ONCE)):
        packets = map(junk, batch)
        await asyncio.gather(*(page.send(data, topic=topic) for data, topic in packets))
    return time.monotonic() - began_s
