"""What can be timed; one file of `fedtiny/benchmark/contenders/` is one, named after its file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedtiny import discovery
from fedtiny.errors import unknown_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedtiny.report.model import ModelInfo

PACKAGE = "fedtiny.benchmark.contenders"
OURS = "fedtiny"
"""The contender that the others are compared with."""


@dataclass(frozen=True)
class Opened:
    """A loaded model.

    Attributes:
        run: One inference: an input with batch 1 in the runtime's own layout and dtype, to output.
        tolerance_lsb: By how many LSBs outputs of an int8 program may differ; asked for only then.
    """

    run: Callable[[NDArray[Any]], NDArray[Any]]
    tolerance_lsb: Callable[[], int] = lambda: 0


def same(model: ModelInfo, values: NDArray[Any]) -> NDArray[Any]:
    """For runtimes that exchange what the exported program does."""
    return values


@dataclass(frozen=True)
class Contender:
    """One contender.

    Attributes:
        formats: Artifacts of an export that it loads, the preferred one first.
        threads: The most threads that it can use; None where it takes any number.
        require: Imports its runtime and says its version. Raises RunnerError where it is missing.
        open: Loads what `prepare` returned, to run with a number of threads.
        prepare: Makes of an artifact what is loaded, once, before anything is timed.
        to_runtime: Inputs `(N, ...)` of the exported program, in the runtime's layout and dtype.
        from_runtime: Its outputs, as the exported program would give them.
    """

    formats: tuple[str, ...]
    threads: int | None
    require: Callable[[], str]
    open: Callable[[Path, int], Opened]
    prepare: Callable[[Path], Path] = lambda path: path
    to_runtime: Callable[[ModelInfo, NDArray[Any]], NDArray[Any]] = same
    from_runtime: Callable[[ModelInfo, NDArray[Any]], NDArray[Any]] = same


def peers() -> tuple[str, ...]:
    """Every contender but ours, sorted."""
    return tuple(name for name in discovery.names(PACKAGE) if name != OURS)


def load(name: str) -> Contender:
    """The contender of a name.

    Raises:
        UsageError: There is none.
    """
    if name != OURS and name not in peers():
        raise unknown_name("runtime", name, peers())
    found: Contender = discovery.load(PACKAGE, "runtime", name).CONTENDER
    return found
