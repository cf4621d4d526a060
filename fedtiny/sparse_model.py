"""What training makes and the compiler reads; safetensors on disk, never pickle."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from fedtiny.compiler.histogram import BINS, MAX_EXPONENT, Histogram
from fedtiny.errors import UsageError
from fedtiny.files import new_file
from fedtiny.reading import parse_json, reason

MAX_INPUT_ELEMENTS = 1 << 24
"""Of one sample: 4096 x 4096 grey pixels."""
_FORMAT = 1
_KEY = "fedtiny"  # one key holds all metadata: safetensors writes several in no fixed order


@dataclass(frozen=True)
class Provenance:
    """How a model came to be: enough to repeat it.

    Attributes:
        method: Pruning method, for example ``"fedtiny"``.
        dataset: Name of the data it was trained on.
        density: Target density of the prunable weights.
        rounds: Rounds of federated training.
        seed: The run's seed.
    """

    method: str
    dataset: str
    density: float
    rounds: int
    seed: int


@dataclass(frozen=True)
class SparseModel:
    """Weights, masks, and how they came to be.

    Attributes:
        architecture: A name of `fedtiny.models` or ``"package.module:factory"``.
        input_shape: `(C, H, W)` of one sample, as the torch module wants it.
        classes: Number of outputs, named as the labels of the dataset in order.
        state: The module's state dict (batch-normalization statistics included).
        masks: By parameter name, bool, for prunable weights only; True is active.
        ranges: By activation name of the captured graph, (min, max) over the clients' data, from
            federated calibration; empty when there was none.
        histograms: By activation name, what `ranges` came from; empty when only they are known.
        samples: Public images `(N, C, H, W)` that biases are corrected on; uint8 means 0..1. None
            when there are none.
        provenance: How it came to be.
    """

    architecture: str
    input_shape: tuple[int, ...]
    classes: tuple[str, ...]
    state: Mapping[str, torch.Tensor]
    masks: Mapping[str, torch.Tensor]
    provenance: Provenance
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    samples: torch.Tensor | None = None

    def module(self) -> nn.Module:
        """Make the network with these weights, in evaluation mode.

        An architecture ``"package.module:factory"`` is imported here (never on loading the file).

        Raises:
            UsageError: The architecture is unknown, or the weights do not fit it.
        """
        from fedtiny.models import create

        made = self.architecture, self.input_shape, len(self.classes)
        if ":" not in self.architecture:
            # Without memory first: what a damaged file says may ask for any amount of it.
            with torch.device("meta"):
                self._check_fit(create(*made))
        module = create(*made)
        self._check_fit(module)
        module.load_state_dict(dict(self.state))
        return module.eval()

    def _check_fit(self, module: nn.Module) -> None:
        wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
        given = {name: tuple(value.shape) for name, value in self.state.items()}
        for name in {**wanted, **given}:
            if wanted.get(name) != given.get(name):
                shapes = f"{given.get(name, 'missing')}; expected is {wanted.get(name, 'none')}"
                raise UsageError(
                    f"weights do not fit the architecture {self.architecture!r}: {name!r} is "
                    f"{shapes}."
                )

    def save(self, path: Path) -> None:
        """Write the model; equal content gives equal bytes.

        Raises:
            UsageError: The place cannot be written.
        """
        tensors = {f"state.{name}": value for name, value in self.state.items()}
        tensors |= {f"mask.{name}": value for name, value in self.masks.items()}
        tensors |= {
            f"histogram.{name}": torch.from_numpy(seen.counts.copy())
            for name, seen in self.histograms.items()
        }
        if self.samples is not None:
            tensors["samples"] = self.samples
        plain = torch.contiguous_format  # a copy, as safetensors refuses tensors that share memory
        tensors = {n: value.detach().clone(memory_format=plain) for n, value in tensors.items()}
        about: dict[str, Any] = {
            "format": _FORMAT,
            "architecture": self.architecture,
            "input_shape": list(self.input_shape),
            "classes": list(self.classes),
            "ranges": {name: list(pair) for name, pair in self.ranges.items()},
            "grids": {name: [h.exponent, h.first] for name, h in self.histograms.items()},
            "provenance": asdict(self.provenance),
        }
        about["sha256"] = _digest(tensors, about)
        data = safetensors.torch.save(tensors, {_KEY: json.dumps(about, sort_keys=True)})
        with new_file(path) as work:
            work.write_bytes(data)

    @staticmethod
    def load(path: Path) -> SparseModel:
        """Read a model, trusting nothing; nothing in the file is executed.

        Raises:
            UsageError: The file is missing, damaged, altered or no model of ours.
        """
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, safetensors.SafetensorError, ValueError, RuntimeError) as error:
            why = reason(error) if Path(path).is_file() else "no such file"
            raise UsageError(f"cannot read model {str(path)!r}: {why}.") from error
        try:
            about = parse_json(metadata[_KEY])
            given = about.pop("sha256")
            version = about["format"]
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{str(path)!r} is no FedTiny model: its metadata is absent or damaged."
            ) from error
        if version != _FORMAT:
            raise UsageError(f"model {str(path)!r} has format {version!r}; accepted is {_FORMAT}.")
        if given != _digest(tensors, about):
            raise UsageError(f"model {str(path)!r} is damaged: its SHA-256 does not match.")
        try:
            return _assemble(about, tensors)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise UsageError(f"model {str(path)!r} is damaged: {error}.") from error


def _digest(tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any]) -> str:
    """SHA-256 over metadata, names, types, shapes and bytes."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        digest.update(f"\0{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _assemble(about: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> SparseModel:
    """Put the parts together.

    Raises:
        ValueError: One is missing, or they contradict each other.
        KeyError: The same.
        TypeError: The same.
    """
    samples = tensors.get("samples")
    tensors = {name: value for name, value in tensors.items() if name != "samples"}
    state, masks, counts = (
        {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        for prefix in ("state.", "mask.", "histogram.")
    )
    if not state or len(state) + len(masks) + len(counts) != len(tensors):
        raise ValueError(
            "it holds no weights, or tensors that are neither weights nor masks nor observations"
        )
    for name, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ValueError(f"{name!r} holds values that are not finite")
    for name, mask in masks.items():
        if mask.dtype != torch.bool or name not in state or mask.shape != state[name].shape:
            raise ValueError(f"the mask of {name!r} does not fit its weights")
        if state[name][~mask].any():
            raise ValueError(f"{name!r} has nonzero weights where its mask is inactive")
    shape, classes = tuple(about["input_shape"]), tuple(about["classes"])
    sound = shape and all(type(n) is int and n > 0 for n in shape)
    if not sound or math.prod(shape) > MAX_INPUT_ELEMENTS:
        raise ValueError(f"its input shape is {shape}")
    if not classes or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"its classes are {classes}")
    if not isinstance(about["architecture"], str):
        raise TypeError("its architecture is no text")
    ranges = {name: (float(low), float(high)) for name, (low, high) in about["ranges"].items()}
    for name, (low, high) in ranges.items():
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ValueError(f"the range of {name!r} is ({low}, {high})")
    provenance = Provenance(**about["provenance"])
    if samples is not None and (
        samples.dtype not in (torch.uint8, torch.float32)
        or samples.shape[1:] != shape
        or not len(samples)
        or not torch.isfinite(samples).all()
    ):
        raise ValueError(f"its samples are {samples.dtype} {tuple(samples.shape)}")
    histograms = _histograms(counts, about.get("grids", {}), ranges)
    return SparseModel(
        architecture=about["architecture"],
        input_shape=shape,
        classes=classes,
        state=state,
        masks=masks,
        provenance=provenance,
        ranges=ranges,
        histograms=histograms,
        samples=samples,
    )


def _histograms(
    counts: Mapping[str, torch.Tensor],
    grids: Mapping[str, list[int]],
    ranges: Mapping[str, tuple[float, float]],
) -> dict[str, Histogram]:
    """Put the histograms together.

    Raises:
        ValueError: They contradict themselves.
        KeyError: A part is missing.
    """
    made = {}
    for name, values in counts.items():
        exponent, first = (int(number) for number in grids[name])
        inside = values.dim() == 1 and -BINS <= first <= BINS - len(values)
        if values.dtype != torch.int64 or not inside or not len(values) > 0 or values.min() < 0:
            raise ValueError(f"the histogram of {name} is impossible")
        if abs(exponent) > MAX_EXPONENT or int(values.sum()) == 0:
            raise ValueError(f"the histogram of {name} is impossible")
        made[name] = Histogram(*ranges[name], exponent, first, values.numpy())
    return made
