"""What torch's operators with weights become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.frontends.torch_translation import Translation, argument, pads, pair
from fedtiny.compiler.frontends.views import Value
from fedtiny.compiler.ir import BatchNorm, Conv2d, DepthwiseConv2d, FullyConnected, Padding
from fedtiny.compiler.operators import TransposeConv2d
from fedtiny.compiler.reference_common import output_size

if TYPE_CHECKING:
    from torch import fx

Floats = NDArray[np.float32]


def _weights_and_bias(
    translation: Translation, source: fx.Node, outputs: int | None = None
) -> tuple[str, Floats, str, Floats]:
    found = translation.parameter(source, 1)
    if found is None:
        raise translation.error(source, "it has no weights")
    name, weights = found
    bias = translation.parameter(source, 2)
    if bias is None:
        channels = len(weights) if outputs is None else outputs * weights.shape[1]
        bias = (f"{translation.label(source)}.bias", np.zeros(channels, np.float32))
    return name, weights, *bias


def _kernel(weights: Floats) -> Floats:
    """Weights of two dimensions of windows; a sequence's have one column."""
    return weights.reshape((*weights.shape, 1)[:4])


def conv(translation: Translation, source: fx.Node) -> None:
    """conv1d and conv2d."""
    x = translation.image(source)
    name, weights, bias_name, bias = _weights_and_bias(translation, source)
    weights = _kernel(weights)
    stride, dilation = (pair(argument(source, i, 1), x) for i in (3, 5))
    groups, kernel = int(argument(source, 6, 1)), weights.shape[2:]
    padding = _padding(argument(source, 4, 0), x, kernel, dilation)
    rows, columns = (
        output_size(x.size[i], kernel[i], stride[i], padding[i], dilation[i]) for i in range(2)
    )
    attributes: DepthwiseConv2d | Conv2d
    if groups > 1 and groups == weights.shape[0] == x.shape[1]:
        attributes = DepthwiseConv2d(stride, padding, dilation)
        weights = weights.transpose(1, 2, 3, 0)
    else:
        attributes = Conv2d(stride, padding, dilation, groups)
        weights = weights.transpose(0, 2, 3, 1)
    constants = [
        translation.constant(name, weights, True),
        translation.constant(bias_name, bias),
    ]
    shape = x.resized(len(bias), (rows, columns))
    translation.make(source, attributes, [x.tensor, *constants], x, shape)


def _padding(
    given: object, x: Value, kernel: tuple[int, ...], dilation: tuple[int, int]
) -> Padding:
    if isinstance(given, str):  # torch puts the odd pixel of "same" after
        spans = [
            d * (k - 1) if given == "same" else 0 for k, d in zip(kernel, dilation, strict=True)
        ]
        rows, columns = ((span // 2, span - span // 2) for span in spans)
        return rows, columns
    above, left = pads(given, x)
    return (above, above), (left, left)


def conv_transpose(translation: Translation, source: fx.Node) -> None:
    """conv_transpose1d and conv_transpose2d; zeros between taps stand for dilation."""
    x = translation.image(source)
    groups = int(argument(source, 6, 1))
    name, weights, bias_name, bias = _weights_and_bias(translation, source, groups)
    depth, made, kh, kw = _kernel(weights).shape
    parts = weights.reshape(groups, depth // groups, made, kh, kw).transpose(0, 2, 3, 4, 1)
    stride, dilation = (pair(argument(source, i, 1), x) for i in (3, 7))
    crop, more = (pads(argument(source, i, 0), x) for i in (4, 5))
    reach = [d * (k - 1) + 1 for k, d in zip((kh, kw), dilation, strict=True)]
    spread = np.zeros((made * groups, *reach, depth // groups), np.float32)
    spread[:, :: dilation[0], :: dilation[1]] = parts.reshape(made * groups, kh, kw, -1)
    rows, columns = (
        (x.size[i] - 1) * stride[i] + reach[i] - 2 * crop[i] + more[i] for i in range(2)
    )
    attributes = TransposeConv2d(stride, crop, groups)
    constants = [
        translation.constant(name, spread, True),
        translation.constant(bias_name, bias),
    ]
    shape = x.resized(made * groups, (rows, columns))
    translation.make(source, attributes, [x.tensor, *constants], x, shape)


def linear(translation: Translation, source: fx.Node) -> None:
    """linear, of a vector, or of every row of what has three or four dimensions."""
    x = translation.activation(source)
    name, weights, bias_name, bias = _weights_and_bias(translation, source)
    rank = len(x.shape)
    if rank == 2:
        if x.flat is not None:
            weights = weights[:, x.flat_order]
        constants = [
            translation.constant(name, weights, True),
            translation.constant(bias_name, bias),
        ]
        made = Value("", (1, len(bias)), (0, 1))
        translation.make(source, FullyConnected(), [x.tensor, *constants], made)
        return
    if x.order[-1] != 3 or len(x.physical) != 4:
        x = translation.ordered(translation.label(source), x, {3: (0, 1, 3), 4: (0, 1, 2, 3)}[rank])
    constants = [
        translation.constant(name, weights[:, None, None, :], True),
        translation.constant(bias_name, bias),
    ]
    translation.make(source, Conv2d(), [x.tensor, *constants], x, (*x.shape[:-1], len(bias)))


def batch_norm(translation: Translation, source: fx.Node) -> None:
    """Batch normalization with running statistics."""
    x = translation.activation(source)
    if len(x.shape) > 2:
        x = translation.image(source)
    functional = len(source.args) == 7  # (x, w, b, mean, variance, momentum, epsilon)
    if not functional and source.args[5]:
        raise translation.error(source, "batch normalization without running statistics")
    epsilon = float(source.args[6 if functional else 7])  # type: ignore[arg-type]
    own = translation.label(source)
    defaults = {"weight": 1.0, "bias": 0.0, "running_mean": None, "running_var": None}
    constants = []
    for index, (part, default) in enumerate(defaults.items(), start=1):
        found = translation.parameter(source, index)
        if found is None and default is None:
            raise translation.error(source, "batch normalization without running statistics")
        name, value = found or (f"{own}.{part}", np.full(x.shape[1], default, np.float32))
        value = value if x.flat is None else value[x.flat_order]
        constants.append(translation.constant(name, value))
    translation.make(source, BatchNorm(epsilon), [x.tensor, *constants], x)


OPS: Mapping[str, Callable[[Translation, fx.Node], None]] = {
    "_native_batch_norm_legit_no_training": batch_norm,
    "batch_norm": batch_norm,
    "conv1d": conv,
    "conv2d": conv,
    "conv_transpose1d": conv_transpose,
    "conv_transpose2d": conv_transpose,
    "linear": linear,
}
"""By operator, what translates it."""
