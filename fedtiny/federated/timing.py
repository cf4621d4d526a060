"""What a run took: the only measurements of it that differ from run to run."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Clock:
    """Measures from when it is made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._rounds: dict[int, float] = {}

    @contextmanager
    def measure(self, round_: int) -> Iterator[None]:
        """Measure a round."""
        start = time.perf_counter()
        yield
        self._rounds[round_] = time.perf_counter() - start

    def report(self, worker_processes: int) -> dict[str, Any]:
        """Seconds, and CPU seconds and peak memory where the system tells (call it at the end)."""
        result: dict[str, Any] = {
            "seconds": time.perf_counter() - self._start,
            "worker_processes": worker_processes,
            "rounds": [{"round": r, "seconds": s} for r, s in self._rounds.items()],
        }
        if sys.platform != "win32":
            import resource

            scale = 1 if sys.platform == "darwin" else 1024
            for who, name in (
                (resource.RUSAGE_SELF, "server"),
                (resource.RUSAGE_CHILDREN, "workers"),
            ):
                usage = resource.getrusage(who)
                result[name] = {
                    "cpu_seconds": usage.ru_utime + usage.ru_stime,
                    "peak_memory_bytes": usage.ru_maxrss * scale,
                }
        return result
