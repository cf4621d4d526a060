"""What an export format is; one file of `exporters/formats/` is one, named after its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fedtiny import discovery
from fedtiny.errors import UsageError

if TYPE_CHECKING:
    from fedtiny.compiler.ir import Graph
    from fedtiny.compiler.plan import ExecutionPlan
    from fedtiny.golden import Golden
    from fedtiny.report.model import ModelInfo, Verification

PACKAGE = "fedtiny.exporters.formats"
DEFAULT = ("onnx", "tflite", "c")
"""What is written when nothing is asked for, as far as each accepts the model."""

DType = Literal["int8", "float32", "float16"]
Io = Literal["int8", "float32"]


@dataclass(frozen=True)
class Request:
    """What is to be written.

    Attributes:
        graph: The final graph, int8 or float32: what model files hold.
        plan: Its plan, whose own graph may convert memory layouts besides: what C holds.
        dtype: How weights are stored; `"float16"` ones are computed with in float32.
        io: What the application exchanges with the program.
    """

    graph: Graph
    plan: ExecutionPlan
    dtype: DType
    io: Io


@dataclass(frozen=True)
class Format:
    """One export format.

    Attributes:
        files: What it writes: artifact's name in the report, to its path in the export folder. The
            first is the model and has the format's own name.
        refusal: Why a request cannot be written rightly, as a clause; None when it can.
        write: Writes its files into the export folder.
        verify: Runs the first file in the runtimes it is for, and holds them to the golden vectors;
            None for what runners run.
        dense: The format to weigh this one against: the same model without sparse tensors.
    """

    files: Mapping[str, str]
    refusal: Callable[[Request], str | None]
    write: Callable[[Request, Path], None]
    verify: Callable[[Path, ModelInfo, Golden], Sequence[Verification]] | None = None
    dense: str | None = field(default=None)


def names() -> tuple[str, ...]:
    """Every format, sorted."""
    return discovery.names(PACKAGE)


def load(name: str) -> Format:
    """The format of a name.

    Raises:
        UsageError: There is none.
    """
    found: Format = discovery.load(PACKAGE, "format", name).FORMAT
    return found


def accepted(request: Request, wanted: Sequence[str] | None) -> dict[str, Format]:
    """The formats to write, in a fixed order.

    Args:
        request: What is to be written.
        wanted: Names; None asks for those of `DEFAULT` that accept it.

    Raises:
        UsageError: A name is unknown, or a wanted format refuses; the message says why.
    """
    chosen = {name: load(name) for name in sorted(set(DEFAULT if wanted is None else wanted))}
    for name in list(chosen):
        reason = chosen[name].refusal(request)
        if reason is None:
            continue
        if wanted is not None:
            raise UsageError(f"format {name} cannot be written: {reason}.")
        del chosen[name]
    return chosen
