"""Runs one target under atheris: ``python -m tests.fuzz TARGET [libFuzzer's options]``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

TARGETS = (
    *("wav", "content_type", "event_stream"),
    *("payloads", "payload_values", "tool_rows", "row_values"),
)
CORPUS = Path(".cache/fuzz")


def main() -> None:
    """Fuzz the target until libFuzzer's limits end it, beginning with its seeds."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        raise SystemExit(f"expected a target, one of: {', '.join(TARGETS)}")
    name = sys.argv.pop(1)
    # No dependency of the project, so no type checker finds it.
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["livekit_plugins_speko", "httpx_sse"]):
        target = importlib.import_module(f"tests.fuzz.{name}")
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.SEEDS):
        (corpus / f"seed-{number}").write_bytes(seed)

    def run(data: bytes) -> None:
        if data:
            target.check(data)

    inputs = [option for option in sys.argv[1:] if not option.startswith("-")]
    atheris.Setup([*sys.argv, *([] if inputs else [str(corpus)])], run)
    atheris.Fuzz()


main()
