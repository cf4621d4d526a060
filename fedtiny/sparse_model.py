"""What training makes and the compiler reads; safetensors on disk, never pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch


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
        provenance: How it came to be.
    """

    architecture: str
    input_shape: tuple[int, ...]
    classes: tuple[str, ...]
    state: Mapping[str, torch.Tensor]
    masks: Mapping[str, torch.Tensor]
    provenance: Provenance
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
