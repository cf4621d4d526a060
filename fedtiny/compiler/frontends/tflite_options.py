"""What the readers of TFLite operators share: windows, fused activations, quantizations."""

from __future__ import annotations

from fedtiny.compiler.frontends.tflite_flatbuffer import Table
from fedtiny.compiler.frontends.tflite_importer import Importer, Source
from fedtiny.compiler.frontends.tflite_model import OperatorRecord
from fedtiny.compiler.ir import Activation, Padding
from fedtiny.compiler.reference_common import output_size

Pair = tuple[int, int]
_ACTIVATIONS: dict[int, Activation] = {0: "none", 1: "relu", 3: "relu6"}


def fused_activation(
    importer: Importer, op: OperatorRecord, options: Table, field: int
) -> Activation:
    """The activation that an operator's options name."""
    code = int(options.number(field, "b"))
    if code not in _ACTIVATIONS:
        raise importer.unsupported(op, f"fused activation {code}; RELU and RELU6 are supported")
    return _ACTIVATIONS[code]


def pair_of(
    importer: Importer, op: OperatorRecord, options: Table, high: int, wide: int, default: int = 0
) -> Pair:
    """Two positive numbers of the options: a stride, a dilation or a window."""
    pair = int(options.number(high, "i", default)), int(options.number(wide, "i", default))
    if not all(1 <= v <= 1 << 16 for v in pair):
        raise importer.damaged(op, f"a stride, dilation or window of {list(pair)}")
    return pair


def window_geometry(
    importer: Importer,
    op: OperatorRecord,
    source: Source,
    window: tuple[Pair, Pair, Pair],
    same: int,
) -> tuple[Padding, Pair]:
    """Explicit padding and the output's rows and columns.

    Args:
        importer: The import.
        op: The operator.
        source: Its 4-D input.
        window: Kernel, stride and dilation.
        same: TFLite's padding code, 0 for SAME.
    """
    if len(source.shape) != 4:
        raise importer.unsupported(op, f"its input is {list(source.shape)}, not 4-D")
    if same not in (0, 1):
        raise importer.damaged(op, f"padding {same}")
    pads, sizes = [], []
    for i, (kernel, stride, dilation) in enumerate(zip(*window, strict=True)):
        size = source.shape[1 + i]
        total = (-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size
        total = max(total, 0) if same == 0 else 0
        pads.append((total // 2, total - total // 2))
        sizes.append(output_size(size + total, kernel, stride, (0, 0), dilation))
    if min(sizes) < 1:
        raise importer.damaged(op, f"its window is larger than its input {list(source.shape)}")
    return (pads[0], pads[1]), (sizes[0], sizes[1])


def check_same_quantization(importer: Importer, op: OperatorRecord, source: Source) -> None:
    """Check that an int8 operator does not change the quantization."""
    if source.quantization is None:
        return
    target = importer.model.tensors[op.outputs[0]].quantization
    if target is None or target.axis is not None:
        raise importer.unsupported(op, "its int8 output has no scale")
    if (
        target.scale != source.quantization.scale
        or target.zero_point != source.quantization.zero_point
    ):
        raise importer.unsupported(op, "its int8 input and output must have equal quantization")
