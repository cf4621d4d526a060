"""One fuzzing campaign in a process of its own, under limits of memory and time.

`python -m tests.fuzz.campaign TARGET --runs N` damages the target's seeds and its corpus. Where
atheris is installed, coverage of `fedtiny` guides it (libFuzzer), and inputs that reach something
new are added to `--found`; elsewhere the same mutations are drawn at random. The first defect ends
it: its input is written to `--crashes`, and `python -m tests.fuzz.campaign TARGET FILE` repeats it.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

CORPUS = Path(__file__).parent / "corpus"
EXTRA_BYTES = 1 << 30
"""Address space beyond what the process has when it begins; inputs are a few KiB."""
SECONDS_A_CASE = 10
"""Far above what a case takes (ms), far below what a loop over 2^31 items takes."""
INSTRUMENTED = ["fedtiny", "numpy.lib", "tomllib"]
LONGEST_INPUT = 1 << 15


def corpus(name: str, target: Target) -> dict[str, bytes]:
    """The sound files of a target, and the inputs kept from earlier campaigns."""
    kept = {path.name: path.read_bytes() for path in sorted((CORPUS / name).glob("*"))}
    return {**target.seeds(), **kept}


def draws(inputs: dict[str, bytes], target: Target, seed: int) -> Callable[[], bytes]:
    """Damaged inputs without end: case N of a seed is the same everywhere."""
    rng, names = random.Random(seed), sorted(inputs)
    return lambda: target.mutate(inputs[rng.choice(names)], rng)


@contextmanager
def limited_memory() -> Iterator[None]:
    """Let allocations fail that no input of a few KiB has a reason for."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + EXTRA_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _drawn(target: Target, inputs: dict[str, bytes], options: argparse.Namespace) -> None:
    draw = draws(inputs, target, options.seed)
    for _ in range(options.runs):
        data = draw()
        signal.alarm(SECONDS_A_CASE)
        try:
            target.read(data)
        except BaseException:
            (options.crashes / "crash").write_bytes(data)
            raise
    signal.alarm(0)
    print(f"{options.runs} drawn inputs")


def _guided(
    atheris: Any, target: Target, inputs: dict[str, bytes], options: argparse.Namespace
) -> None:
    seeds = options.crashes / "seeds"
    seeds.mkdir(exist_ok=True)
    for name, data in inputs.items():
        (seeds / name).write_bytes(data)

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.25:
            return bytes(atheris.Mutate(data, size))
        return target.mutate(data, rng)[:size]

    arguments = (
        f"-runs={options.runs} -seed={options.seed + 1} -timeout={SECONDS_A_CASE} -rss_limit_mb=0 "
        f"-max_len={LONGEST_INPUT} -artifact_prefix={options.crashes}/ -print_final_stats=1"
    )
    places = [str(path) for path in (options.found, seeds) if path is not None]
    atheris.Setup(
        ["fuzz", *arguments.split(), *places],
        lambda data: (target.read(data), None)[1],
        custom_mutator=mutate,
    )
    atheris.Fuzz()  # does not return


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.campaign", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("input", nargs="?", type=Path, help="read this one file instead")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crashes", type=Path, default=Path(), help="folder for the failing input")
    parser.add_argument("--found", type=Path, help="folder for inputs that reach something new")
    options = parser.parse_args()
    atheris: Any = None
    if options.input is None and importlib.util.find_spec("atheris"):
        import atheris
    with nullcontext() if atheris is None else atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[options.target]
    if options.input is not None:
        print(*target.read(options.input.read_bytes()) or ["accepted"])
        return 0
    inputs = corpus(options.target, target)
    for data in inputs.values():
        target.read(data)  # whatever is loaded late is loaded before the limit
    with limited_memory():
        if atheris is None:
            _drawn(target, inputs, options)
        else:
            _guided(atheris, target, inputs, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
