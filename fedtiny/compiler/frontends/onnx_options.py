"""What the readers of ONNX operators share: windows and padding."""

from __future__ import annotations

from fedtiny.compiler.frontends.onnx_importer import Value
from fedtiny.compiler.frontends.onnx_model import NodeRecord
from fedtiny.compiler.ir import Padding
from fedtiny.compiler.reference_common import output_size

Pair = tuple[int, int]


def pair_of(node: NodeRecord, name: str, default: Pair = (1, 1)) -> Pair:
    """Two positive numbers of an attribute."""
    found = node.integers(name)
    pair = default if found is None else found
    if len(pair) != 2 or not all(1 <= v <= 1 << 16 for v in pair):
        raise node.unsupported(f"{name} {list(pair)}; two positive numbers are supported")
    return pair[0], pair[1]


def window_geometry(
    node: NodeRecord, value: Value, kernel: Pair, stride: Pair, dilation: Pair
) -> tuple[Padding, Pair]:
    """Explicit padding, that of a Pad before included, and the output's rows and columns."""
    auto = node.text("auto_pad", "NOTSET")
    pads = node.integers("pads") or (0, 0, 0, 0)
    if len(pads) != 4 or any(not 0 <= p <= 1 << 16 for p in pads):
        raise node.unsupported(f"pads {list(pads)}; four numbers of at least 0 are supported")
    padding, sizes = [], []
    for i in range(2):
        size = value.shape[2 + i] + sum(value.padding[i])
        before, after = pads[i], pads[2 + i]
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            total = (-(-size // stride[i]) - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1
            total = max(total - size, 0)
            small = total // 2
            before, after = (small, total - small) if auto[5] == "U" else (total - small, small)
        elif auto not in ("NOTSET", "VALID", ""):
            raise node.unsupported(f"auto_pad {auto!r}")
        padding.append((value.padding[i][0] + before, value.padding[i][1] + after))
        sizes.append(output_size(size, kernel[i], stride[i], (before, after), dilation[i]))
    if min(sizes) < 1:
        raise node.damaged(f"its window is larger than its input {list(value.shape)}")
    return (padding[0], padding[1]), (sizes[0], sizes[1])
