"""A network's operations, weights and buffers as the structs that the C step runs over."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fedtiny.training_engine import structs
from fedtiny.training_engine.geometry import GROUP, TAPS, Gather, Grid, Layout, Taps
from fedtiny.training_engine.trace import (
    Combination,
    Convolution,
    Network,
    Operation,
    Pooling,
    Tensor,
)

SPARSE_BELOW = 0.4
"""Density under which nonzeros one by one are faster than a dense block with zeros in it."""

LEAST_TILED = 8
"""Channels on both sides from which a dense 3 x 3 convolution is computed in tiles."""
TILED_BYTES = 384 * 1024
"""Of transformed tiles that are worked on at once; two such buffers fit the second cache."""
TERMS = 16
"""Numbers of a transformed tile, as in the C sources."""

_CONVOLUTION, _COMBINATION, _POOLING, _NORM, _COLLECT = range(5)
_FORWARD, _BACKWARD = range(2)

Masks = Mapping[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Parameter:
    """Where a parameter lies among the values.

    Attributes:
        start: Its first value.
        count: How many it has: the active ones where `active` is there.
        active: Flat indices into the parameter; None takes all.
    """

    start: int
    count: int
    active: npt.NDArray[np.int64] | None


class Plan:
    """Everything that a step needs, for batches of up to so many samples.

    Attributes:
        parameters: By name, in the module's order.
        values: Of all parameters.
        momenta: The same.
        running: Means and variances by buffer name.
        struct: For the C functions.
    """

    def __init__(
        self,
        network: Network,
        module: nn.Module,
        masks: Masks,
        samples: int,
        lanes: int,
        reconstructs: bool,
    ) -> None:
        self._network, self._lanes = network, lanes
        self._blocks = -(-samples // lanes)
        self._kept: list[Any] = []  # everything that a pointer points at
        self._number = {tensor: i for i, tensor in enumerate(network.tensors)}
        convolutions = _of(network, Convolution)
        self._norms = [c.norm for c in convolutions if c.norm is not None]
        self._taps = {c: _taps(c, module, masks, lanes) for c in convolutions}
        self.parameters = self._lay_out(module, convolutions)
        count = sum(p.count for p in self.parameters.values())
        self.values, self._gradients, self.momenta = (self._floats(count) for _ in range(3))
        self.running: dict[str, torch.Tensor] = {}
        self._data: dict[Tensor, torch.Tensor] = {}
        gradients = self._tensor_gradients(convolutions)
        self._scratch: dict[tuple[Any, ...], torch.Tensor] = {}
        self._slots: dict[int, int] = {}
        program = self._program()
        self._products = self._shared_products(convolutions)
        adds = _adds(network)
        struct = structs.Plan()
        struct.tensors = self._array(
            structs.Tensor, [self._tensor(t, gradients) for t in network.tensors]
        )
        struct.norms = self._array(
            structs.Norm, [self._norm(c) for c in convolutions if c.norm is not None]
        )
        struct.convolutions = self._array(
            structs.Convolution,
            [self._convolution(c, adds[id(c), 0], masks) for c in convolutions],
        )
        struct.combinations = self._array(
            structs.Combination,
            [self._combination(c, adds) for c in _of(network, Combination)],
        )
        struct.poolings = self._array(
            structs.Pooling, [self._pooling(p, adds[id(p), 0]) for p in _of(network, Pooling)]
        )
        struct.program = self._array(structs.Instruction, program)
        struct.convolution_count, struct.instruction_count = len(convolutions), len(program)
        struct.values, struct.gradients, struct.momenta = (
            t.data_ptr() for t in (self.values, self._gradients, self.momenta)
        )
        struct.value_count = count
        struct.input, struct.reconstructs = self._number[network.input], int(reconstructs)
        struct.output = self._number[_output(network)]
        self._valid = self._floats(self._blocks * lanes)
        struct.batch.valid = self._valid.data_ptr()
        self.struct = struct

    @property
    def gradients(self) -> torch.Tensor:
        """Of all values, of the last batch."""
        return self._gradients

    def outputs(self, samples: int) -> torch.Tensor:
        """Of the last batch's samples, `(N, outputs)`."""
        tensor = _output(self._network)
        lanes = self._data[tensor][: self._blocks * tensor.channels * self._lanes]
        by_block = lanes.reshape(self._blocks, tensor.channels, self._lanes)
        return by_block.transpose(1, 2).reshape(-1, tensor.channels)[:samples].clone()

    def set_batch(self, samples: int) -> None:
        """Say how many samples the next batch has."""
        self.struct.batch.samples = samples
        self.struct.batch.blocks = -(-samples // self._lanes)
        self._valid[:samples] = 1
        self._valid[samples:] = 0

    def _floats(self, count: int) -> torch.Tensor:
        made = torch.zeros(max(1, count))  # torch aligns to 64 bytes
        self._kept.append(made)
        return made

    def _ints(self, array: npt.NDArray[np.int32] | None) -> int | None:
        if array is None:
            return None
        self._kept.append(array)
        return array.ctypes.data

    def _array(self, kind: type[ctypes.Structure], items: Sequence[Any]) -> int:
        made = (kind * max(1, len(items)))(*items)
        self._kept.append(made)
        return ctypes.addressof(made)

    def _lay_out(
        self, module: nn.Module, convolutions: Sequence[Convolution]
    ) -> dict[str, Parameter]:
        active = {f"{c.name}.weight": self._taps[c].active for c in convolutions}
        found, at = {}, 0
        for name, parameter in module.named_parameters():
            chosen = active.get(name)
            count = parameter.numel() if chosen is None else len(chosen)
            found[name] = Parameter(at, count, chosen)
            at += count
        return found

    def _shared_products(self, convolutions: Sequence[Convolution]) -> list[torch.Tensor]:
        """Room for the sums of dense gradients, which convolutions use one after the other."""
        sizes = [0] * (1 + max(self._slots.values()))
        for number, slot in self._slots.items():
            c = convolutions[number]
            if self._taps[c].active is None:
                taps = c.source.channels * (1 if self._is_tiled(c) else c.kernel[0] * c.kernel[1])
                tiles = -(-c.target.channels // GROUP) * -(-taps // TAPS)
                tiles *= TERMS if self._is_tiled(c) else 1
                sizes[slot] = max(sizes[slot], tiles * GROUP * TAPS * self._lanes)
        return [self._floats(size) for size in sizes]

    def _tensor_gradients(self, convolutions: Sequence[Convolution]) -> set[Tensor]:
        """Activations that need a gradient: all but the input and what is only normalized."""
        without = {c.target for c in convolutions if c.norm is not None}
        return set(self._network.tensors) - without - {self._network.input}

    def _tensor(self, tensor: Tensor, gradients: set[Tensor]) -> structs.Tensor:
        size = self._blocks * Layout.of(tensor, self._lanes).block
        size += (
            2 * Layout.of(tensor, self._lanes).row + self._lanes
        )  # a last tile reads over its end
        gradient = self._floats(size).data_ptr() if tensor in gradients else None
        self._data[tensor] = self._floats(size)
        return structs.Tensor(
            self._data[tensor].data_ptr(),
            gradient,
            tensor.channels,
            tensor.height,
            tensor.width,
            *tensor.border,
        )

    def _pointers(self, name: str) -> tuple[int, int]:
        """Of a parameter's values and of their gradients."""
        at = 4 * self.parameters[name].start
        return self.values.data_ptr() + at, self._gradients.data_ptr() + at

    def _norm(self, of: Convolution) -> structs.Norm:
        norm = of.norm
        assert norm is not None
        scale, scale_gradient = self._pointers(f"{norm.name}.weight")
        shift, shift_gradient = self._pointers(f"{norm.name}.bias")
        running = []
        for part in ("running_mean", "running_var"):
            buffer = self._floats(norm.channels)
            self.running[f"{norm.name}.{part}"] = buffer
            running.append(buffer.data_ptr())
        sums = [self._floats(norm.channels * 2 * self._lanes).data_ptr() for _ in range(2)]
        rest = [self._floats(norm.channels).data_ptr() for _ in range(7)]
        bias = self._pointers(f"{of.name}.bias")[0] if of.bias else None
        made = structs.Norm(
            scale, shift, bias, scale_gradient, shift_gradient, *running, *sums, *rest
        )
        made.momentum, made.epsilon = norm.momentum, norm.epsilon
        made.channels, made.values = norm.channels, norm.values
        return made

    def _convolution(self, c: Convolution, adds: int, masks: Masks) -> structs.Convolution:
        taps, name = self._taps[c], f"{c.name}.weight"
        made = structs.Convolution()
        made.weight, made.weight_gradient = self._pointers(name)
        if c.bias and c.norm is None:
            made.bias, made.bias_gradient = self._pointers(f"{c.name}.bias")
        made.input, made.output = self._number[c.source], self._number[c.target]
        made.normalized = -1 if c.norm is None else self._norms.index(c.norm)
        made.followed = self._number[c.followed if c.norm is not None and c.followed else c.target]
        made.input_gradient = adds
        sparse = taps.active is not None
        forward = taps.forward()
        made.forward = self._gather(forward, False)
        phases = list(taps.backward()) if sparse or (adds and not self._is_tiled(c)) else []
        made.phases = len(phases)
        made.backward = self._array(structs.Gather, [self._gather(g, sparse) for g in phases])
        border = taps.scratch_border
        blocks = self._blocks if c.is_linear else 1
        shape = (c.target.channels, c.target.height, c.target.width, *border, blocks)
        if shape not in self._scratch:
            layout = Layout.of(c.target, self._lanes, border)
            size = blocks * layout.block + 2 * layout.row + self._lanes
            self._scratch[shape] = self._floats(size)
        made.scratch = self._scratch[shape].data_ptr()
        made.scratch_border_y, made.scratch_border_x = border
        if not sparse:
            made.taps, made.tap_count = self._ints(taps.input_taps()), len(forward.offsets)
            number = _of(self._network, Convolution).index(c)
            made.products = self._products[self._slots[number]].data_ptr()
            if self._is_tiled(c):
                made.tiled = self._array(structs.Winograd, [self._winograd(c)])
            if name in masks:
                kept = self._floats(masks[name].size)
                kept[:] = torch.from_numpy(masks[name].reshape(-1))
                made.kept = kept.data_ptr()
        return made

    def _gather(self, g: Gather, products: bool) -> structs.Gather:
        made = structs.Gather()
        made.starts, made.offsets = self._ints(g.starts), self._ints(g.offsets)
        made.source = self._ints(g.source)
        made.weights = self._floats(len(g.source)).data_ptr()
        if products:
            made.products = self._floats(len(g.source) * self._lanes).data_ptr()
        made.outputs, made.taps, made.weights_count = g.outputs, len(g.offsets), len(g.source)
        made.target, made.plane = g.target, g.plane
        made.source_grid, made.target_grid = _grid(g.source_grid), _grid(g.target_grid)
        return made

    def _is_tiled(self, c: Convolution) -> bool:
        """Whether it is dense and fewer products in tiles are worth their transformation."""
        usual = (c.kernel, c.stride, c.pad, c.dilation) == ((3, 3), (1, 1), (1, 1), (1, 1))
        wide = min(c.source.channels, c.target.channels) >= LEAST_TILED
        return usual and wide and self._taps[c].active is None

    def _winograd(self, c: Convolution) -> structs.Winograd:
        made = structs.Winograd()
        inputs, outputs = c.source.channels, c.target.channels
        most = max(inputs, outputs)
        down, across = -(-c.target.height // 2), -(-c.target.width // 2)
        room = TILED_BYTES // (TERMS * most * self._lanes * 4 * across)
        strip = min(down, max(1, room))
        size = TERMS * most * strip * across * self._lanes
        for shape in (("tiled", 0, size), ("tiled", 1, size)):
            if shape not in self._scratch:
                self._scratch[shape] = self._floats(size)
        made.input, made.output = (self._scratch["tiled", i, size].data_ptr() for i in range(2))
        for field, a, b in (("forward", outputs, inputs), ("turned", inputs, outputs)):
            weights = self._floats(TERMS * -(-a // GROUP) * GROUP * b)
            setattr(made, field, weights.data_ptr())
        made.tiles, made.strip, made.down, made.across = strip * across, strip, down, across
        made.height, made.width = c.target.height, c.target.width
        channels = np.minimum(np.arange(-(-most // TAPS) * TAPS), most - 1)
        made.offsets = self._ints((channels * made.tiles * self._lanes).astype(np.int32))
        return made

    def _combination(
        self, c: Combination, adds: Mapping[tuple[int, int], int]
    ) -> structs.Combination:
        made = structs.Combination()
        made.output, made.count = self._number[c.target], len(c.terms)
        for i, (tensor, norm) in enumerate(c.terms):
            made.terms[i] = self._number[tensor]
            made.norms[i] = -1 if norm is None else self._norms.index(norm)
            made.adds[i] = adds[id(c), i]
        made.rectified, made.ceiling = int(c.rectified), c.ceiling
        return made

    def _pooling(self, p: Pooling, adds: int) -> structs.Pooling:
        numbers = self._number[p.source], self._number[p.target]
        return structs.Pooling(*numbers, *p.kernel, *p.stride, *p.pad, int(p.maximum), adds)

    def _program(self) -> list[structs.Instruction]:
        """Operations forward, then backward; statistics of the whole batch between them."""
        places = {id(op): i for k in _KINDS for i, op in enumerate(_of(self._network, k))}
        forward, backward = [], []
        for op in self._network.operations:
            kind = _KINDS[type(op)]
            whole = isinstance(op, Convolution) and op.is_linear
            norms = [n for _, n in op.terms if n] if isinstance(op, Combination) else []
            numbers = [self._norms.index(norm) for norm in norms]
            forward += [(_NORM, n, _FORWARD, 1) for n in numbers]
            forward.append((kind, places[id(op)], _FORWARD, int(whole)))
            after = [(_NORM, n, _BACKWARD, 1) for n in numbers]
            backward.append([(kind, places[id(op)], _BACKWARD, int(whole)), *after])
        steps = forward
        running: list[int] = []  # convolutions of the current stage, whose sums are not collected
        for step in (step for part in reversed(backward) for step in part):
            if step[3]:
                steps += [(_COLLECT, number, _BACKWARD, 1) for number in running]
                running = []
            steps.append(step)
            if step[0] == _CONVOLUTION:
                self._slots[step[1]] = len(running)
                running.append(step[1])
        steps += [(_COLLECT, number, _BACKWARD, 1) for number in running]
        return [structs.Instruction(*step) for step in steps]


_KINDS: dict[type[Operation], int] = {
    Convolution: _CONVOLUTION, Combination: _COMBINATION, Pooling: _POOLING,
}  # fmt: skip


def _of(network: Network, kind: type[Any]) -> list[Any]:
    return [op for op in network.operations if isinstance(op, kind)]


def _output(network: Network) -> Tensor:
    assert network.output is not None
    return network.output


def _grid(grid: Grid) -> structs.Grid:
    return structs.Grid(grid.rows, grid.width, grid.row_step, grid.step)


def _taps(c: Convolution, module: nn.Module, masks: Masks, lanes: int) -> Taps:
    """Sparse where that is faster, or where a dense block would be mostly zeros."""
    mask = masks.get(f"{c.name}.weight")
    if c.groups > 1 and mask is None:
        mask = np.ones(tuple(module.get_parameter(f"{c.name}.weight").shape), np.bool_)
    if c.groups == 1 and mask is not None and mask.mean() >= SPARSE_BELOW:
        mask = None
    return Taps(c, mask, lanes)


def _adds(network: Network) -> dict[tuple[int, int], int]:
    """Of every operation's every input: 0 no gradient, 1 the first to make it, 2 a later one."""
    seen: set[Tensor] = {network.input}
    found = {}
    for op in reversed(network.operations):
        if isinstance(op, Combination):
            sources = [(i, t) for i, (t, norm) in enumerate(op.terms) if norm is None]
            found.update({(id(op), i): 0 for i, (_, norm) in enumerate(op.terms) if norm})
        else:
            sources = [(0, op.source)]
        for i, tensor in sources:
            made = 2 if tensor in seen else 1
            found[id(op), i] = 0 if tensor is network.input else made
            seen.add(tensor)
    return found
