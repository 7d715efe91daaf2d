"""A parser under bytes that atheris makes, which follows the code that they reach.

    .venv/bin/uv pip install --python .venv/bin/python atheris
    .venv/bin/python -m tests.fuzz stt_frames --seconds 600

What it finds is written to .cache/fuzz, and the run ends with a traceback.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("There is no atheris: .venv/bin/uv pip install --python .venv/bin/python atheris")

with atheris.instrument_imports(include=["livekit_plugins_speko", "json"]):
    from tests.fuzz.documents import from_bytes, words_of
    from tests.fuzz.targets import NEW_WIRES, TARGETS

FOLDER = Path(__file__).parent.parent.parent / ".cache" / "fuzz"


def check_of(name: str) -> Callable[[bytes], None]:
    """The check of a target: of the bytes as they are, or of a document that they make."""
    target = TARGETS[name]
    words = words_of(target.examples)

    def check(data: bytes) -> None:
        if name in NEW_WIRES and data[:1] >= b"\x80":
            data = from_bytes(data[1:], words, target.examples)
        target.check(data)

    return check


def main() -> None:
    """Run as the command line says. It does not return: atheris ends the process."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description="A parser under any bytes.")
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=600)
    options = parser.parse_args()
    corpus = FOLDER / options.target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(TARGETS[options.target].examples):
        corpus.joinpath(f"example-{number}").write_text(text)
    flags = [
        f"-max_total_time={options.seconds}",
        f"-artifact_prefix={FOLDER / options.target}-",
        "-max_len=4096",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], check_of(options.target))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
