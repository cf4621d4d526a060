"""The structs of `c/layers.h` and `c/step.c`, field by field."""

from __future__ import annotations

import ctypes

_P, _I, _F = ctypes.c_void_p, ctypes.c_int32, ctypes.c_float


def _fields(*groups: tuple[type, str]) -> list[tuple[str, type]]:
    return [(name, kind) for kind, names in groups for name in names.split()]


class Tensor(ctypes.Structure):
    """`tensor`."""

    _fields_ = _fields((_P, "data gradient"), (_I, "channels height width border_y border_x"))


class Norm(ctypes.Structure):
    """`norm`."""

    _fields_ = _fields(
        (_P, "scale shift bias scale_gradient shift_gradient running_mean running_variance"),
        (_P, "sums gradient_sums a b mean inverse from_g from_y constant"),
        (_F, "momentum epsilon"),
        (_I, "channels values"),
    )


class Grid(ctypes.Structure):
    """`grid`."""

    _fields_ = _fields((_I, "rows width row_step step"))


class Gather(ctypes.Structure):
    """`gather`."""

    _fields_ = [
        *_fields((_P, "starts offsets weights products source")),
        *_fields((_I, "outputs taps weights_count origin target plane")),
        *_fields((Grid, "source_grid target_grid")),
    ]


class Winograd(ctypes.Structure):
    """`winograd`."""

    _fields_ = _fields(
        (_P, "forward turned input output offsets"),
        (_I, "tiles strip down across height width"),
        (_I, "source_row source_plane target_row target_plane gradient_row gradient_plane"),
    )


class Convolution(ctypes.Structure):
    """`convolution`."""

    _fields_ = [
        *_fields((_P, "weight weight_gradient bias bias_gradient")),
        *_fields((_I, "input output normalized followed input_gradient")),
        ("forward", Gather),
        ("phases", _I),
        *_fields((_P, "backward scratch"), (_I, "scratch_border_y scratch_border_x")),
        ("taps", _P),
        ("tap_count", _I),
        *_fields((_P, "products tiled kept")),
    ]


class Combination(ctypes.Structure):
    """`combination`."""

    _fields_ = [
        *_fields((_I, "output count")),
        ("terms", _I * 2),
        ("norms", _I * 2),
        ("adds", _I * 2),
        ("rectified", _I),
        ("ceiling", _F),
    ]


class Pooling(ctypes.Structure):
    """`pooling`."""

    _fields_ = _fields(
        (_I, "input output kernel_y kernel_x stride_y stride_x pad_y pad_x maximum adds")
    )


class Batch(ctypes.Structure):
    """`batch`."""

    _fields_ = _fields((_I, "samples blocks"), (_P, "valid"))


class Instruction(ctypes.Structure):
    """`instruction`."""

    _fields_ = _fields((_I, "kind index direction whole"))


class Plan(ctypes.Structure):
    """`plan`."""

    _fields_ = [
        *_fields((_P, "tensors norms convolutions combinations poolings program")),
        *_fields((_I, "convolution_count instruction_count")),
        *_fields((_P, "values gradients momenta")),
        ("value_count", ctypes.c_int64),
        *_fields((_I, "input output reconstructs evaluating")),
        ("batch", Batch),
    ]
