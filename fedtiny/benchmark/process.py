"""A worker as its parent sees it: started, asked, stopped while others have their turn."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fedtiny.errors import FedTinyError, RunnerError, UsageError

TIMEOUT_S = 300
_STOPS = hasattr(signal, "SIGSTOP")


class Process:
    """One contender at work; it gets no processor time but while it is asked.

    Attributes:
        name: The contender.
        ready: What loading took; see `fedtiny.benchmark.worker.Worker`.
    """

    def __init__(
        self, name: str, path: Path, inputs: Path, threads: int, integers: bool, work: Path
    ) -> None:
        """Start it and wait until its model is loaded.

        Raises:
            RunnerError: Its runtime is missing, or it crashed.
            UsageError: It does not take the file.
        """
        self.name = name
        self._stderr = (work / f"{name}.{threads}.txt").open("w+", errors="replace")
        words = [name, str(path), str(inputs), str(threads), str(int(integers))]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fedtiny.benchmark.worker", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            bufsize=1,
        )
        self.ready = self._answer()
        self._signal("SIGSTOP")

    def ask(self, *words: object) -> dict[str, Any]:
        """Send one line, wait for its answer.

        Raises:
            RunnerError: It crashed, or takes too long.
        """
        self._signal("SIGCONT")
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer says why
            print(*words, file=self._process.stdin, flush=True)
        answer = self._answer()
        self._signal("SIGSTOP")
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            with contextlib.suppress(BrokenPipeError):
                assert stream is not None
                stream.close()
        self._process.wait()

    def _signal(self, name: str) -> None:
        """Runtimes' threads spin for a while after their work, at the next contender's cost."""
        if _STOPS and self._process.poll() is None:
            self._process.send_signal(getattr(signal, name))

    def _answer(self) -> dict[str, Any]:
        stream = self._process.stdout
        assert stream is not None
        if os.name == "posix" and not select.select([stream], [], [], TIMEOUT_S)[0]:
            raise RunnerError(f"{self.name} did not answer within {TIMEOUT_S} s.")
        line = stream.readline()
        if not line:
            raise RunnerError(f"{self.name} ended unexpectedly: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            usage = answer["exit_code"] == UsageError.exit_code
            kind: type[FedTinyError] = UsageError if usage else RunnerError
            raise kind(answer["error"])
        return answer

    def _last_words(self) -> str:
        self._stderr.seek(0)
        lines = [line.strip() for line in self._stderr if line.strip()]
        return lines[-1] if lines else f"exit status {self._process.wait()}"


@contextlib.contextmanager
def started(
    wanted: dict[str, tuple[Path, Path, int]], integers: bool
) -> Iterator[dict[str, Process]]:
    """Start a process for each contender, one after the other; all end with the block.

    Args:
        wanted: By contender: the file, its inputs as `.npy`, and how many threads.
        integers: Whether the model is an int8 program.
    """
    with tempfile.TemporaryDirectory(prefix="fedtiny-") as work, contextlib.ExitStack() as stack:
        found = {}
        for name, (path, inputs, threads) in wanted.items():
            found[name] = Process(name, path, inputs, threads, integers, Path(work))
            stack.callback(found[name].close)
        yield found
