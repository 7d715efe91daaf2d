"""A program in a process of its own, with its output as lines to wait for."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

# The colours that a program gives its lines.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# The number of output lines in an error.
_TOLD_LINES = 20


class ProcessFailed(Exception):
    """A program ended, or did not print an expected line; the text has its last lines."""


class Process:
    """A program in a process of its own, started by the constructor.

    Standard output and error go to one log, without colours; any thread can wait for a line. The
    owner stops the program, best with `with`. The program leads a process group of its own, so
    that Ctrl+C in the terminal reaches the owner alone, which stops its programs in order.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        """Start it.

        Args:
            name: Its name in messages.
            command: The program and its arguments.
            log: The file that its output is appended to; the folder is made.
            environment: All its variables; None takes those of this process.
            folder: Its working directory; None takes that of this process.
        """
        self.name = name
        # True once kill() has ended it.
        self.killed = False
        # True once it was asked to end; a second signal would cut short what it does meanwhile.
        self._asked = False
        # All lines that it has printed.
        self.lines: list[str] = []
        # Notified at each line, and at the end of the output.
        self._printed = threading.Condition()
        # True once the output has ended.
        self._ended = False
        log.parent.mkdir(parents=True, exist_ok=True)
        self._popen = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(log,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id, also after its end."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """True until the process ends."""
        return self._popen.poll() is None

    def wait_for(self, pattern: str, within_s: float, after: int = 0) -> re.Match[str]:
        """Block until it has printed a line.

        Args:
            pattern: A regular expression, searched in each line.
            within_s: The longest wait, in seconds.
            after: The number of first lines to skip.

        Returns:
            The first match.

        Raises:
            ProcessFailed: No such line came in time, or the output ended.
        """
        wanted, deadline, seen = re.compile(pattern), time.monotonic() + within_s, after
        with self._printed:
            while True:
                for line in self.lines[seen:]:
                    if match := wanted.search(line):
                        return match
                seen = max(seen, len(self.lines))
                left_s = deadline - time.monotonic()
                if self._ended or left_s <= 0:
                    break
                self._printed.wait(left_s)
        what = "ended" if self._ended else f"did not print it within {within_s:.0f} s"
        raise ProcessFailed(f'{self.name}: waited for "{pattern}", but it {what}:\n{self.tail()}')

    def tail(self) -> str:
        """The last lines that it printed."""
        return "\n".join(f"    {line}" for line in self.lines[-_TOLD_LINES:])

    def terminate(self) -> None:
        """Ask it to end, as `stop` does, and do not wait. It may take its time."""
        if self.running and not self._asked:
            self._asked = True
            self._popen.send_signal(signal.SIGTERM)

    def stop(self, within_s: float = 10.0) -> int:
        """Ask it to end; return its status.

        Args:
            within_s: The time in seconds after which it is killed with all its children.
        """
        if self.running:
            self.terminate()
            try:
                self._popen.wait(within_s)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
        return self._wait()

    def kill(self) -> None:
        """Kill it at once without its children, as the system does when memory runs out."""
        self.killed = True
        self._popen.kill()
        self._wait()

    def __enter__(self) -> Process:
        """Return itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop it."""
        self.stop()

    def _wait(self) -> int:
        status = self._popen.wait()
        # A child that is still running may hold the output open.
        self._reader.join(1.0)
        return status

    def _read(self, log: Path) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as output, log.open("a", encoding="utf-8") as file:
            for coloured in output:
                line = _COLOURS.sub("", coloured)
                file.write(line)
                file.flush()
                with self._printed:
                    self.lines.append(line.rstrip())
                    self._printed.notify_all()
        with self._printed:
            self._ended = True
            self._printed.notify_all()
