"""What a sparse client needs, counted as papers count it.

FLOP = 2 * MAC; normalization and loss are left out. Storage in bits of m nonzeros of n at b bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

VALUE_BITS = 32


def layer_macs(module: nn.Module, input_shape: Sequence[int]) -> dict[str, int]:
    """Multiply-accumulates of one sample, by name of the weight that they use.

    Args:
        module: Its convolutions and linear layers are counted.
        input_shape: `(C, H, W)`.
    """
    macs: dict[str, int] = {}

    def watch(name: str, layer: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def count(_: nn.Module, args: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
            weight = layer.get_parameter("weight")
            positions = out.numel() // weight.shape[0]
            key = f"{name}.weight"
            macs[key] = macs.get(key, 0) + positions * weight.numel()

        return layer.register_forward_hook(count)

    handles = [
        watch(name, layer)
        for name, layer in module.named_modules()
        if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Linear))
    ]
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            module(torch.zeros(1, *input_shape))
    finally:
        module.train(training)
        for handle in handles:
            handle.remove()
    return macs


def forward_flops(macs: Mapping[str, int], masks: Mapping[str, torch.Tensor]) -> float:
    """FLOPs of one sample's forward pass over active weights."""
    return sum(
        2.0 * count * (int(masks[name].sum()) / masks[name].numel() if name in masks else 1.0)
        for name, count in macs.items()
    )


def storage_bits(rows: int, columns: int, nonzeros: int, bits: int = VALUE_BITS) -> dict[str, int]:
    """Bits of a matrix in every format, by the format's name.

    Args:
        rows: Output channels.
        columns: Weights of one.
        nonzeros: Active weights.
        bits: Of a value.
    """
    size, values = rows * columns, nonzeros * bits
    return {
        "dense": size * bits,
        "bitmap": size + values,
        "coo": nonzeros * _address_bits(size) + values,
        "csr": nonzeros * _address_bits(columns) + rows * _address_bits(nonzeros) + values,
    }


def state_bytes(
    state: Mapping[str, torch.Tensor], masks: Mapping[str, torch.Tensor], format_: str = "least"
) -> float:
    """Bytes that parameters and statistics take on a device.

    Args:
        state: Everything that is stored in floating point.
        masks: What of it is sparse; the rest is dense.
        format_: ``"least"``, the best format for each layer, or ``"bitmap"``, as papers count.
    """
    bits = 0
    for name, value in state.items():
        if not value.is_floating_point():
            continue
        mask = masks.get(name)
        if mask is None:
            bits += value.numel() * VALUE_BITS
            continue
        rows = mask.shape[0]
        formats = storage_bits(rows, mask.numel() // rows, int(mask.sum()))
        bits += min(formats.values()) if format_ == "least" else formats[format_]
    return bits / 8


def _address_bits(count: int) -> int:
    return max(1, math.ceil(math.log2(count))) if count > 1 else 1
