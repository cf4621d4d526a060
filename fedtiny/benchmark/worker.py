"""A contender's own process: loads one model, then runs it when told to.

    python -m fedtiny.benchmark.worker CONTENDER PATH INPUTS.npy THREADS INT8

It answers every line on stdin by one JSON line on stdout: `outputs FILE` keeps what all inputs
give, `calibrate MS` finds how many inferences take that long, `time N` times N inferences after one
that is not timed, `peak` says the memory used so far. A failure is `{"error", "exit_code"}`.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from fedtiny.benchmark import contender
from fedtiny.benchmark.contender import Contender, Opened
from fedtiny.errors import FedTinyError

_MILLI = 1e3


class Worker:
    """A loaded contender and what it costs.

    Attributes:
        ready: What loading it took: the first line that is answered.
    """

    def __init__(
        self, chosen: Contender, path: Path, inputs: NDArray[Any], threads: int, integers: bool
    ) -> None:
        self.inputs = [np.ascontiguousarray(x[None]) for x in inputs]
        before, start = resident_bytes(), time.perf_counter()
        version = chosen.require()
        imported = time.perf_counter()
        self.opened: Opened = chosen.open(path, threads)
        loaded = time.perf_counter()
        self.opened.run(self.inputs[0])
        first = time.perf_counter()
        self.ready = {
            "version": version,
            "baseline_bytes": before,
            "import_ms": (imported - start) * _MILLI,
            "load_ms": (loaded - imported) * _MILLI,
            "first_ms": (first - loaded) * _MILLI,
            "tolerance_lsb": self.opened.tolerance_lsb() if integers else 0,
        }

    def outputs(self, path: str) -> dict[str, Any]:
        """Keep the output of every input."""
        np.save(path, np.concatenate([self.opened.run(x) for x in self.inputs]))
        return {}

    def calibrate(self, milliseconds: str) -> dict[str, Any]:
        """How many inferences take that long, at least one."""
        count = 1
        while (spent := self.time(str(count))["ms"]) < float(milliseconds) / 2:
            count *= 2
        return {"count": max(1, round(count * float(milliseconds) / spent))}

    def time(self, count: str) -> dict[str, Any]:
        """Milliseconds of so many inferences; whoever ran before has emptied the caches."""
        run = self.opened.run
        wanted = list(itertools.islice(itertools.cycle(self.inputs), int(count)))
        run(wanted[0])
        start = time.perf_counter()
        for x in wanted:
            run(x)
        return {"ms": (time.perf_counter() - start) * _MILLI}

    def peak(self) -> dict[str, Any]:
        """The most memory that this process has had."""
        return {"peak_bytes": resident_bytes()}

    def serve(self, commands: TextIO, answers: TextIO) -> None:
        """Answer lines until there are no more."""
        _say(answers, self.ready)
        gc.disable()
        for line in commands:
            name, *words = line.split(" ", 1)
            _say(answers, getattr(self, name.strip())(*(word.strip() for word in words)))


def resident_bytes() -> int:
    """Peak resident memory of this process so far."""
    try:
        status = Path("/proc/self/status").read_text("ascii")
    except OSError:
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used if sys.platform == "darwin" else used * 1024
    return next(int(s.split()[1]) for s in status.splitlines() if s.startswith("VmHWM")) * 1024


def _say(answers: TextIO, answer: dict[str, Any]) -> None:
    print(json.dumps(answer), file=answers, flush=True)


def main(words: list[str]) -> None:
    """Answer on stdout; whatever runtimes print there goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    name, path, inputs, threads, integers = words
    try:
        chosen = contender.load(name)
        x = np.load(inputs)
        Worker(chosen, Path(path), x, int(threads), integers == "1").serve(sys.stdin, answers)
    except FedTinyError as error:
        _say(answers, {"error": str(error), "exit_code": error.exit_code})


if __name__ == "__main__":
    main(sys.argv[1:])
