"""Which parameters of a network may be pruned, and in which order their masks change."""

from __future__ import annotations

from typing import TypeAlias

from torch import nn

from fedtiny.errors import UsageError

Blocks: TypeAlias = tuple[tuple[str, ...], ...]
"""Groups of parameter names, from output to input; progressive pruning changes one at a time."""


def prunable_blocks(module: nn.Module) -> Blocks:
    """The blocks that a network declares, or sensible ones for any other.

    A network declares them by a method `prunable_blocks() -> Blocks`. Otherwise they are the
    weights of convolutions and linear layers, grouped by top-level child (by the child's children
    where everything lies in one), without the first convolution and the last such layer. Biases
    and normalization are never pruned.

    Raises:
        UsageError: A declared name is no parameter, occurs twice, or nothing can be pruned.

    Source: FedTiny's follow-up papers never prune biases, normalization and the output layer;
    keeping the first convolution dense is a decision of this project.
    """
    declared = getattr(module, "prunable_blocks", None)
    blocks: Blocks = declared() if callable(declared) else _derived(module)
    used = [name for block in blocks for name in block]
    known = dict(module.named_parameters())
    for name in used:
        if name not in known or used.count(name) > 1:
            raise UsageError(
                f"prunable_blocks() of {type(module).__name__} names {name!r}, which is no "
                "parameter of it or occurs twice."
            )
    if not used:
        raise UsageError(
            f"{type(module).__name__} has no prunable weights: it needs a convolution or linear "
            "layer between the first convolution and the output layer."
        )
    return blocks


def _derived(module: nn.Module) -> Blocks:
    layers = [
        name
        for name, m in module.named_modules()
        if isinstance(m, (nn.Conv1d, nn.Conv2d, nn.Linear))
    ]
    first = next((n for n in layers if not isinstance(module.get_submodule(n), nn.Linear)), None)
    kept = [name for name in layers[:-1] if name != first]
    depth = 1
    while len({_prefix(name, depth) for name in kept}) == 1 and len(kept) > 1:
        depth += 1
    groups: dict[str, list[str]] = {}
    for name in kept:
        groups.setdefault(_prefix(name, depth), []).append(f"{name}.weight")
    return tuple(tuple(group) for group in reversed(list(groups.values())))


def _prefix(name: str, depth: int) -> str:
    return ".".join(name.split(".")[:depth])


def convolutions(module: nn.Module, part: str, kernel: int | None = None) -> tuple[str, ...]:
    """Names of the weights of all convolutions in a part of a network, in their order.

    Args:
        module: The network.
        part: Name of the submodule.
        kernel: Only those of this many rows; None takes all.
    """
    return tuple(
        f"{part}.{name}.weight" if name else f"{part}.weight"
        for name, layer in module.get_submodule(part).named_modules()
        if isinstance(layer, nn.Conv2d) and kernel in (None, layer.kernel_size[0])
    )
