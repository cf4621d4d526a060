"""Loss and accuracy of a float model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from fedtiny.data import Dataset
from fedtiny.federated.message import DamagedMessageError, Message
from fedtiny.federated.objective import reconstructs, squared_errors
from fedtiny.ranking import auc
from fedtiny.sparse_model import SparseModel

BATCH = 256


@dataclass(frozen=True)
class Score:
    """How a model does on some samples.

    Attributes:
        loss: Mean cross-entropy, or mean squared error of a network that reconstructs.
        correct: How many it classifies right; None of a network that reconstructs.
        samples: How many there are.
        auc: How well the error tells anomalies, where there are any, from normal samples.
    """

    loss: float
    correct: int | None
    samples: int
    auc: float | None = None

    @property
    def accuracy(self) -> float | None:
        """Share that it classifies right; NaN of no samples, None where it does not classify."""
        if self.correct is None:
            return None
        return self.correct / self.samples if self.samples else math.nan

    def text(self) -> str:
        """For a line of progress."""
        if self.accuracy is not None:
            return f"accuracy {self.accuracy:.3f}"
        ranked = "" if self.auc is None else f", AUC {self.auc:.3f}"
        return f"error {self.loss:.4g}{ranked}"


def to_input(images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> torch.Tensor:
    """What the network sees of `(N, C, H, W)` images: uint8 becomes 0..1, float32 stays."""
    tensor = torch.tensor(images, dtype=torch.float32)
    tensor = tensor / 255 if images.dtype == np.uint8 else tensor
    return tensor.contiguous(memory_format=torch.channels_last)


def channels_last(module: nn.Module) -> nn.Module:
    """The same module with its weights laid out as `to_input` lays out images.

    It is faster; and every module of a run goes through here, as torch rounds differently in
    another layout.
    """
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


def batches(dataset: Dataset, size: int = BATCH) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Inputs and labels in order, `size` at a time."""
    for start in range(0, len(dataset), size):
        yield _batch(dataset, start, size)


def _batch(dataset: Dataset, start: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = dataset.images[start : start + size], dataset.labels[start : start + size]
    return to_input(images), torch.tensor(labels)


def score(
    module: nn.Module,
    dataset: Dataset,
    threads: int = 1,
    forward: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Score:
    """Loss and accuracy in evaluation mode; the module's mode is left as it was.

    Args:
        module: The network.
        dataset: The samples.
        threads: That share the batches; the result does not depend on how many.
        forward: Computes the module's outputs in its place.
    """
    training = module.training
    module.eval()

    def part(start: int) -> tuple[float, int, npt.NDArray[np.float32]]:
        """Summed loss and correct samples of a batch, or the samples' errors."""
        x, y = _batch(dataset, start, BATCH)
        with torch.no_grad():
            outputs = (forward or module)(x)
            if reconstructs(module):
                return 0.0, 0, squared_errors(outputs, x).numpy()
            loss = float(F.cross_entropy(outputs, y, reduction="sum"))
            return loss, int((outputs.argmax(1) == y).sum()), np.zeros(0, np.float32)

    starts = range(0, len(dataset), BATCH)
    if threads > 1 and len(starts) > 1:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(part, starts))
    else:
        parts = [part(start) for start in starts]
    module.train(training)
    if parts and reconstructs(module):
        error = np.concatenate([errors for _, _, errors in parts])
        mean = float(error.mean(dtype=np.float64))
        return Score(mean, None, len(dataset), auc(error, dataset.labels))
    loss = sum((loss for loss, _, _ in parts), 0.0)
    return Score(loss / max(1, len(dataset)), sum(right for _, right, _ in parts), len(dataset))


def read_score(reply: Message) -> Score:
    """A client's score.

    Raises:
        DamagedMessageError: It is impossible.
    """
    samples = reply.number("samples")
    correct = int(reply.number("correct")) if "correct" in reply.fields else None
    if samples < 1 or (correct is not None and not 0 <= correct <= samples):
        raise DamagedMessageError("a client's score is impossible")
    return Score(reply.number("loss"), correct, int(samples))


def evaluate(model: nn.Module | SparseModel, dataset: Dataset) -> float | None:
    """Accuracy of the float model, 0..1; None of one that reconstructs.

    Raises:
        UsageError: A `SparseModel` cannot be made into its network.
    """
    module = channels_last(model.module()) if isinstance(model, SparseModel) else model
    return score(module, dataset).accuracy
