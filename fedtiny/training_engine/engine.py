"""Training a module by the C step."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Mapping
from queue import SimpleQueue
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fedtiny.errors import RunnerError, UnsupportedError
from fedtiny.federated.objective import reconstructs
from fedtiny.training_engine.library import library
from fedtiny.training_engine.plan import Plan
from fedtiny.training_engine.trace import Network, trace

Indices = npt.NDArray[np.int64]

EVALUATED = 32
"""Samples that are evaluated at once; a batch of them takes little memory."""

_TRACED: WeakKeyDictionary[nn.Module, tuple[tuple[int, ...], Network]] = WeakKeyDictionary()


class Engine:
    """Holds a module's weights while it trains them."""

    def __init__(
        self,
        module: nn.Module,
        masks: Mapping[str, torch.Tensor],
        samples: int,
        input_shape: tuple[int, int, int],
    ) -> None:
        """Plan the steps.

        Args:
            module: The network.
            masks: Active weights by parameter name; parameters without one are dense.
            samples: Of the largest batch.
            input_shape: `(C, H, W)`.

        Raises:
            UnsupportedError: The network does something that the C step does not know.
            RunnerError: The C step cannot be built.
        """
        self._module, self._samples = module, samples
        network = traced(module, input_shape)
        arrays = {name: mask.contiguous().numpy() for name, mask in masks.items()}
        self._plan = Plan(
            network, module, arrays, samples, library().fedtiny_training_lanes(),
            reconstructs(module),
        )  # fmt: skip
        self._flat = network.input.channels != input_shape[0]
        self._steps = 0

    def load(self, optimizer: torch.optim.SGD | None = None) -> None:
        """Take weights, running statistics and momenta, if there are any, from torch."""
        plan = self._plan
        with torch.no_grad():
            for name, parameter in self._module.named_parameters():
                state = {} if optimizer is None else optimizer.state.get(parameter, {})
                buffer = state.get("momentum_buffer")
                place = plan.parameters[name]
                part = slice(place.start, place.start + place.count)
                plan.values[part] = _chosen(parameter, place.active)
                plan.momenta[part] = 0 if buffer is None else _chosen(buffer, place.active)
            for name, buffer in plan.running.items():
                buffer.copy_(self._module.get_buffer(name))
        library().fedtiny_training_pack(ctypes.addressof(plan.struct))

    def store(self, optimizer: torch.optim.SGD) -> None:
        """Give them back; what is inactive is zero."""
        plan = self._plan
        with torch.no_grad():
            for name, parameter in self._module.named_parameters():
                place = plan.parameters[name]
                part = slice(place.start, place.start + place.count)
                parameter.copy_(_whole(plan.values[part], parameter, place.active))
                if self._steps and optimizer.defaults["momentum"]:
                    momentum = _whole(plan.momenta[part], parameter, place.active)
                    optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(
                        parameter
                    ).copy_(momentum)
            for name, buffer in plan.running.items():
                self._module.get_buffer(name).copy_(buffer)
                if name.endswith("running_mean"):
                    count = f"{name.rpartition('.')[0]}.num_batches_tracked"
                    self._module.get_buffer(count).add_(self._steps)
        self._steps = 0

    def gradients(self, x: torch.Tensor, y: torch.Tensor) -> float:
        """The loss of a batch, and the gradients of all active weights in the plan.

        Args:
            x: Inputs `(N, C, H, W)`, float32.
            y: Labels `(N,)`, int64.
        """
        x, strides = self._batch(x)
        labels = y.contiguous()
        loss = library().fedtiny_training_gradients(
            ctypes.addressof(self._plan.struct), x.data_ptr(), strides, labels.data_ptr()
        )
        self._steps += 1
        return float(loss)

    def outputs(self, x: torch.Tensor) -> torch.Tensor:
        """In evaluation mode, of the weights and statistics that were loaded.

        Args:
            x: Inputs `(N, C, H, W)`, float32, of any number.

        Returns:
            `(N, outputs)`.
        """
        found = []
        for part in torch.split(x, self._samples):
            part, strides = self._batch(part)
            library().fedtiny_training_outputs(
                ctypes.addressof(self._plan.struct), part.data_ptr(), strides
            )
            found.append(self._plan.outputs(len(part)))
        return torch.cat(found)

    def _batch(self, x: torch.Tensor) -> tuple[torch.Tensor, ctypes.Array[ctypes.c_int64]]:
        if self._flat:
            x = x.contiguous(memory_format=torch.contiguous_format).flatten(1)[..., None, None]
        self._plan.set_batch(len(x))
        return x, (ctypes.c_int64 * 4)(*x.stride())

    def step(self, x: torch.Tensor, y: torch.Tensor, optimizer: torch.optim.SGD) -> float:
        """One update of SGD; the loss before it.

        Args:
            x: Inputs `(N, C, H, W)`, float32.
            y: Labels `(N,)`, int64.
            optimizer: For its options.
        """
        loss = self.gradients(x, y)
        given = optimizer.defaults
        library().fedtiny_training_update(
            ctypes.addressof(self._plan.struct),
            given["lr"],
            given["momentum"],
            given["weight_decay"],
        )
        return loss

    def gradient(self, name: str) -> torch.Tensor:
        """Of a parameter in the last batch; zero where inactive."""
        place = self._plan.parameters[name]
        part = self._plan.gradients[place.start : place.start + place.count]
        return _whole(part, self._module.get_parameter(name), place.active)


def traced(module: nn.Module, input_shape: tuple[int, int, int]) -> Network:
    """The module's operations, read once.

    Raises:
        UnsupportedError: It does something that the C step does not know.
    """
    known = _TRACED.get(module)
    if known is None or known[0] != input_shape:
        known = input_shape, trace(module, input_shape)
        _TRACED[module] = known
    return known[1]


def _chosen(parameter: torch.Tensor, active: Indices | None) -> torch.Tensor:
    flat = parameter.detach().contiguous(memory_format=torch.contiguous_format).reshape(-1)
    return flat if active is None else flat[torch.from_numpy(active)]


def _whole(values: torch.Tensor, like: torch.Tensor, active: Indices | None) -> torch.Tensor:
    if active is None:
        return values.reshape(like.shape)
    whole = torch.zeros(like.numel())
    whole[torch.from_numpy(active)] = values
    return whole.reshape(like.shape)


def obstacle(module: nn.Module, input_shape: tuple[int, int, int]) -> str | None:
    """Why the C step cannot train a network on this machine; None where it can."""
    try:
        traced(module, input_shape)
        library()
    except (UnsupportedError, RunnerError) as error:
        return str(error)
    return None


class Training:
    """A training by the C step that torch may take part in: weights go back and forth."""

    def __init__(self, module: nn.Module, samples: int, input_shape: tuple[int, int, int]) -> None:
        self._module, self._samples, self._shape = module, samples, input_shape
        self._engine: Engine | None = None
        self._masks: Mapping[str, torch.Tensor] = {}
        self._entered = False

    @classmethod
    def start(
        cls, module: nn.Module, samples: int, input_shape: tuple[int, int, int]
    ) -> Training | None:
        """Begin a training; None, and a warning, where the C step is not possible.

        Args:
            module: The network.
            samples: Of the largest batch.
            input_shape: `(C, H, W)`.
        """
        why = obstacle(module, input_shape)
        if why is None:
            return cls(module, samples, input_shape)
        warnings.warn(f"training is computed by torch: {why}", stacklevel=2)
        return None

    def step(
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        masks: Mapping[str, torch.Tensor],
        optimizer: torch.optim.SGD,
    ) -> float:
        """One update under masks, see `Engine.step`; the module's own weights are then old."""
        if not self._entered or masks is not self._masks:
            self.leave(optimizer)
            if self._engine is None or masks is not self._masks:
                self._engine = Engine(self._module, masks, self._samples, self._shape)
                self._masks = masks
            self._engine.load(optimizer)
            self._entered = True
        assert self._engine is not None
        return self._engine.step(x, y, optimizer)

    def leave(self, optimizer: torch.optim.SGD) -> None:
        """Bring the module's weights and the optimizer's momenta up to date."""
        if self._entered and self._engine is not None:
            self._engine.store(optimizer)
        self._entered = False


class Evaluation:
    """Outputs of a module's current weights, from several threads at once."""

    def __init__(self, module: nn.Module, input_shape: tuple[int, int, int], threads: int) -> None:
        self._module, self._shape, self._threads = module, input_shape, threads
        self._masks: Mapping[str, torch.Tensor] | None = None
        self._engines: list[Engine] = []
        self._idle: SimpleQueue[Engine] = SimpleQueue()

    def load(self, masks: Mapping[str, torch.Tensor]) -> None:
        """Take the module's weights, which are zero where inactive.

        Raises:
            UnsupportedError: The network does something that the C step does not know.
            RunnerError: The C step cannot be built.
        """
        if masks is not self._masks:
            self._engines = [
                Engine(self._module, masks, EVALUATED, self._shape) for _ in range(self._threads)
            ]
            self._masks, self._idle = masks, SimpleQueue()
            for engine in self._engines:
                self._idle.put(engine)
        for engine in self._engines:
            engine.load()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs `(N, outputs)` of inputs `(N, C, H, W)`, whichever thread asks."""
        engine = self._idle.get()
        try:
            return engine.outputs(x)
        finally:
            self._idle.put(engine)
