"""What the readers of ONNX operators share: windows and padding."""

from __future__ import annotations

from fedtiny.compiler.frontends.onnx_model import NodeRecord
from fedtiny.compiler.frontends.views import Value
from fedtiny.compiler.ir import Padding
from fedtiny.compiler.reference_common import output_size

Pair = tuple[int, int]


def pair_of(node: NodeRecord, name: str, value: Value, default: Pair = (1, 1)) -> Pair:
    """Positive numbers of an attribute for rows and columns; columns of a sequence have 1."""
    found = node.integers(name)
    dimensions = len(value.shape) - 2
    pair = default[:dimensions] if found is None else found
    if len(pair) != dimensions or not all(1 <= v <= 1 << 16 for v in pair):
        raise node.unsupported(f"{name} {list(pair)}; {dimensions} positive numbers are supported")
    return (*pair, 1)[0], (*pair, 1)[1]


def explicit_pads(node: NodeRecord, value: Value) -> Padding:
    """The attribute `pads`, zeros where it is absent."""
    dimensions = len(value.shape) - 2
    pads = node.integers("pads") or (0,) * (2 * dimensions)
    if len(pads) != 2 * dimensions or any(not 0 <= p <= 1 << 15 for p in pads):
        raise node.unsupported(
            f"pads {list(pads)}; {2 * dimensions} numbers of at least 0 are supported"
        )
    around = [(pads[i], pads[dimensions + i]) for i in range(dimensions)]
    return (*around, (0, 0))[0], (*around, (0, 0))[1]


def window_geometry(
    node: NodeRecord, value: Value, kernel: Pair, stride: Pair, dilation: Pair
) -> tuple[Padding, Pair]:
    """Explicit padding, and the output's rows and columns."""
    auto = node.text("auto_pad", "NOTSET")
    padding, sizes = [], []
    for i, (before, after) in enumerate(explicit_pads(node, value)):
        size = value.size[i]
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            total = (-(-size // stride[i]) - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1
            total = max(total - size, 0)
            small = total // 2
            before, after = (small, total - small) if auto[5] == "U" else (total - small, small)
        elif auto not in ("NOTSET", "VALID", ""):
            raise node.unsupported(f"auto_pad {auto!r}")
        padding.append((before, after))
        sizes.append(output_size(size, kernel[i], stride[i], (before, after), dilation[i]))
    if min(sizes) < 1:
        raise node.damaged(f"its window is larger than its input {list(value.shape)}")
    return (padding[0], padding[1]), (sizes[0], sizes[1])
