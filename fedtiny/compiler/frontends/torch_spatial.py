"""What torch's operators that pool, pad or resize maps become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fedtiny.compiler.frontends.resize_match import Coordinates, match
from fedtiny.compiler.frontends.torch_translation import (
    Translation,
    argument,
    pads,
    pair,
    shape_of,
)
from fedtiny.compiler.frontends.views import Value
from fedtiny.compiler.ir import AveragePool2d, Padding
from fedtiny.compiler.operators import MaxPool2d, Pad

if TYPE_CHECKING:
    from torch import fx

FLOAT_MAX = float(np.finfo(np.float32).max)
_RESIZINGS = {
    "_upsample_nearest_exact1d": ("half_pixel", "round_prefer_ceil"),
    "_upsample_nearest_exact2d": ("half_pixel", "round_prefer_ceil"),
    "upsample_bilinear2d": ("pytorch_half_pixel", ""),
    "upsample_linear1d": ("pytorch_half_pixel", ""),
    "upsample_nearest1d": ("asymmetric", "floor"),
    "upsample_nearest2d": ("asymmetric", "floor"),
}
"""By operator, ONNX's coordinate transformation and rounding."""


def adaptive_average(translation: Translation, source: fx.Node) -> None:
    """Adaptive average pooling with even windows."""
    _adaptive(translation, source, AveragePool2d)


def adaptive_max(translation: Translation, source: fx.Node) -> None:
    """Adaptive maximum pooling with even windows."""
    _adaptive(translation, source, MaxPool2d)


def _adaptive(
    translation: Translation, source: fx.Node, kind: type[AveragePool2d | MaxPool2d]
) -> None:
    x, shape = translation.image(source), shape_of(source)
    out = Value("", shape, x.order).size
    if any(n % m for n, m in zip(x.size, out, strict=True)):
        raise translation.error(source, f"adaptive pooling of {x.size} to {out} has uneven windows")
    kernel = (x.size[0] // out[0], x.size[1] // out[1])
    translation.make(source, kind(kernel, kernel), [x.tensor], x, shape)


def max_pool(translation: Translation, source: fx.Node) -> None:
    """Maximum pooling."""
    x = translation.image(source)
    kernel = pair(source.args[1], x)
    stride = pair(argument(source, 2, None) or list(kernel), x)
    padding = _padding(x, kernel, stride, pads(argument(source, 3, 0), x), source)
    if pair(argument(source, 4, 1), x) != (1, 1):
        raise translation.error(source, "maximum pooling is supported with dilation=1")
    attributes = MaxPool2d(kernel, stride, padding)
    translation.make(source, attributes, [x.tensor], x, shape_of(source))


def _padding(
    x: Value, kernel: tuple[int, int], stride: tuple[int, int], given: Any, source: fx.Node
) -> Padding:
    """Padding at the end that makes as many windows as torch has, for its `ceil_mode`."""
    made = Value("", shape_of(source), x.order).size
    rows, columns = (
        (given[i], max(0, (made[i] - 1) * stride[i] + kernel[i] - x.size[i] - given[i]))
        for i in range(2)
    )
    return rows, columns


def average_pool(translation: Translation, source: fx.Node) -> None:
    """Average pooling; padding that is counted is zeros around the map."""
    x = translation.image(source)
    kernel = pair(source.args[1], x)
    stride = pair(argument(source, 2, None) or list(kernel), x)
    given = pads(argument(source, 3, 0), x)
    ceil_mode, counted = bool(argument(source, 4, False)), bool(argument(source, 5, True))
    if argument(source, 6, None) is not None or (ceil_mode and counted and any(given)):
        raise translation.error(
            source,
            "average pooling is supported with divisor_override=None and, where it pads and "
            "counts that, with ceil_mode=False",
        )
    padding = _padding(x, kernel, stride, given, source)
    if counted and any(given):
        around = ((given[0], given[0]), (given[1], given[1]))
        size = (x.size[0] + 2 * given[0], x.size[1] + 2 * given[1])
        label = f"{translation.label(source)}.padded"
        shape = x.resized(x.shape[1], size)
        x = translation.make(source, Pad(around), [x.tensor], x, shape, label)
        padding = ((0, 0), (0, 0))
    attributes = AveragePool2d(kernel, stride, padding)
    translation.make(source, attributes, [x.tensor], x, shape_of(source))


def mean(translation: Translation, source: fx.Node) -> None:
    """The mean over height and width, or over length."""
    x = translation.image(source)
    given: Any = argument(source, 1, None)
    rank = len(x.shape)
    axes = sorted(axis % rank for axis in ([given] if isinstance(given, int) else given or ()))
    if axes != list(range(2, rank)):
        raise translation.error(source, "mean is supported over height and width, or length")
    attributes = AveragePool2d(x.size, x.size)
    shape = x.resized(x.shape[1], (1, 1))
    if argument(source, 2, False):
        translation.make(source, attributes, [x.tensor], x, shape)
        return
    label = translation.label(source)
    pooled = translation.make(source, attributes, [x.tensor], x, shape, f"{label}.pooled")
    translation.values[label] = translation.reshaped(label, pooled, shape_of(source))


def pad(translation: Translation, source: fx.Node) -> None:
    """Pad and constant_pad_nd: with a constant, of rows, columns and channels."""
    mode = argument(source, 2, "constant")
    number = argument(source, 3, None) if isinstance(mode, str) else mode
    if isinstance(mode, str) and mode != "constant":
        raise translation.error(source, f"padding by {mode!r}; a constant is supported")
    x, amounts = translation.image(source), source.args[1]
    assert isinstance(amounts, list | tuple)
    given = [int(n) for n in amounts]  # type: ignore[arg-type]
    rank = len(x.shape)
    around = [(0, 0)] * rank
    for i in range(len(given) // 2):
        around[rank - 1 - i] = (given[2 * i], given[2 * i + 1])
    if around[0] != (0, 0) or any(n < 0 for n in given):
        raise translation.error(source, f"padding {given}; of the batch or negative")
    value = min(max(float(number or 0.0), -FLOAT_MAX), FLOAT_MAX)
    rows, columns = (*around[2:], (0, 0))[:2]
    attributes = Pad((rows, columns), around[1], value)
    translation.make(source, attributes, [x.tensor], x, shape_of(source))


def resize(translation: Translation, source: fx.Node) -> None:
    """upsample: nearest and bilinear."""
    from fedtiny.compiler.frontends.torch_capture import short_name

    x, shape, kind = translation.image(source), shape_of(source), short_name(source)
    where, rounding = _RESIZINGS[kind]
    linear = not rounding
    if linear and argument(source, 2, False):
        where = "align_corners"
    made = Value("", shape, x.order).size
    scales = _scales(source, linear, len(shape) - 2)
    factors = [m / n if s is None else s for m, n, s in zip(made, x.size, scales, strict=True)]
    axes = [
        Coordinates(size, out, factor, where, rounding)
        for size, out, factor in zip(x.size, made, factors, strict=True)
    ]
    attributes = match(axes)
    if attributes is None:
        raise translation.error(source, f"{kind} from {x.size} to {made} by {factors}")
    translation.make(source, attributes, [x.tensor], x, shape)


def _scales(source: fx.Node, linear: bool, dimensions: int) -> list[float | None]:
    """The scales that torch computes positions with, where it has been given them."""
    rest: list[Any] = list(source.args[3 if linear else 2 :])
    given = rest[0] if len(rest) == 1 and isinstance(rest[0], list | tuple) else rest
    found: list[float | None] = [None if n is None else float(n) for n in given]
    return (found + [None] * 2)[:dimensions] + [None] * (2 - dimensions)


OPS: Mapping[str, Callable[[Translation, fx.Node], None]] = {
    "adaptive_avg_pool1d": adaptive_average,
    "adaptive_avg_pool2d": adaptive_average,
    "adaptive_max_pool1d": adaptive_max,
    "adaptive_max_pool2d": adaptive_max,
    "avg_pool1d": average_pool,
    "avg_pool2d": average_pool,
    "constant_pad_nd": pad,
    "max_pool1d": max_pool,
    "max_pool2d": max_pool,
    "max_pool2d_with_indices": max_pool,
    "mean": mean,
    "pad": pad,
    **dict.fromkeys(_RESIZINGS, resize),
}
"""By operator, what translates it."""
