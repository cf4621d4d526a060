"""The contract between planner, kernels and emitters.

A kernel is one row of `kernels.toml` (name, op, dtype, isa, patterns, layouts, source, parameter
struct, packing, cost coefficients). Its packing is a module of `fedtiny.runtime.packing` that
provides the functions of the `Packing` protocol below. Everything that a plan, an emitter or a test
needs to know of a kernel is asked through these types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Layout, Node

Overlap = Literal["none", "same_address", "any"]
"""How a step's output rows may share memory with input rows that die in that step.

`"none"`: not at all. `"same_address"`: an output row may lie exactly on an input row: any of them
where a step writes one row, else the one of the same index. `"any"`: the kernel copies all its
inputs into scratch before it writes anything.
"""


@dataclass(frozen=True)
class Access:
    """Step s touches rows `[start + s * advance, start + s * advance + window)` of a tensor.

    Rows outside the tensor are padding: the kernel is given NULL for them.

    Attributes:
        tensor: The tensor's name.
        window: Rows touched in one step.
        advance: Rows from one step to the next; 0 where every step touches the same rows.
        start: First row of step 0; negative by the padding on top.
        flat: The kernel sees the tensor as one row that holds all its bytes, so the planner must
            place its rows contiguously.
    """

    tensor: str
    window: int
    advance: int
    start: int = 0
    flat: bool = False


@dataclass(frozen=True)
class RowContract:
    """What one step of a kernel reads, writes and needs; schedules are derived from this alone.

    Attributes:
        inputs: One access for every activation input, in the node's order.
        output: Rows written by a step.
        steps: Steps in one inference.
        scratch_bytes: Written and read within one step.
        state_bytes: Kept from the first step to the last (running sums).
        overlap: Whether outputs may lie on inputs that die in the same step.
    """

    inputs: tuple[Access, ...]
    output: Access
    steps: int
    scratch_bytes: int = 0
    state_bytes: int = 0
    overlap: Overlap = "none"


@dataclass(frozen=True)
class Constant:
    """One array of a layer's constants, as the kernel wants it.

    Attributes:
        name: Field of the parameter struct that holds its offset, for example ``"weights"``.
        array: 1-D; its dtype is its C type.
        comment: Shape and meaning, written beside it in generated C.
        alignment: In bytes, a power of two.
    """

    name: str
    array: NDArray[np.generic]
    comment: str
    alignment: int = 4


@dataclass(frozen=True)
class Packed:
    """A layer's constants and the plain fields of its parameter struct.

    Every field of the struct is either in `params` or the name of one of `constants` (an absent
    constant has offset 0xFFFFFFFF).

    Attributes:
        params: Plain fields, by name.
        constants: Arrays.
        parts: What the layer runs of code that kernels share, of the table's `parts`; what no
            layer of a model runs is not compiled into its program.
    """

    params: Mapping[str, int | float]
    constants: tuple[Constant, ...] = ()
    parts: frozenset[str] = frozenset()


class Packing(Protocol):
    """What a module of `fedtiny.runtime.packing` provides (as module-level functions)."""

    def supports(self, node: Node, graph: Graph) -> bool:
        """Whether the kernels of this packing can run the node."""

    def contract(self, node: Node, graph: Graph) -> RowContract:
        """The node's row contract under these kernels."""

    def pack(self, node: Node, graph: Graph) -> Packed:
        """Pack weights and parameters."""

    def unpack(self, packed: Packed, node: Node, graph: Graph) -> NDArray[np.generic]:
        """The dense weights again, exactly; for tests."""

    def features(self, node: Node, graph: Graph) -> dict[str, float]:
        """What the cost coefficients multiply, for example ``{"nonzeros": 4608, "outputs": 1}``."""


@dataclass(frozen=True)
class Kernel:
    """One row of the kernel table.

    Attributes:
        name: For example ``"conv2d_csr_s8"``; the C symbol is `fedtiny_` + name.
        op: The op it runs.
        dtype: The dtype of the activations.
        isa: Features that the target must have; empty for portable C.
        patterns: Mask kinds it runs.
        layout_in: Layout of its input activations.
        layout_out: Layout of its output.
        source: C or assembly file below `runtime/`.
        params: Name of its parameter struct in the table.
        packing: Module of `fedtiny.runtime.packing`.
        reference: Whether this is the plain C reference of its op.
        helpers: C or assembly files below `runtime/` that it calls and may share with others.
        cost: By target class, coefficients by feature; instructions = their dot product.
    """

    name: str
    op: str
    dtype: str
    isa: tuple[str, ...]
    patterns: tuple[str, ...]
    layout_in: Layout
    layout_out: Layout
    source: str
    params: str
    packing: str
    reference: bool = False
    helpers: tuple[str, ...] = ()
    cost: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def symbol(self) -> str:
        """The C function."""
        return f"fedtiny_{self.name}"
