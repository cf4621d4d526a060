"""Loss and accuracy of a float model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from fedtiny.data import Dataset
from fedtiny.federated.message import DamagedMessageError, Message
from fedtiny.sparse_model import SparseModel

BATCH = 256


@dataclass(frozen=True)
class Score:
    """How a model does on some samples.

    Attributes:
        loss: Mean cross-entropy.
        correct: How many it classifies right.
        samples: How many there are.
    """

    loss: float
    correct: int
    samples: int

    @property
    def accuracy(self) -> float:
        """Share that it classifies right; NaN of no samples."""
        return self.correct / self.samples if self.samples else math.nan


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
        images, labels = dataset.images[start : start + size], dataset.labels[start : start + size]
        yield to_input(images), torch.tensor(labels)


def score(module: nn.Module, dataset: Dataset) -> Score:
    """Loss and accuracy in evaluation mode; the module's mode is left as it was."""
    training = module.training
    module.eval()
    loss, correct = 0.0, 0
    with torch.no_grad():
        for x, y in batches(dataset):
            logits = module(x)
            loss += float(F.cross_entropy(logits, y, reduction="sum"))
            correct += int((logits.argmax(1) == y).sum())
    module.train(training)
    return Score(loss / max(1, len(dataset)), correct, len(dataset))


def read_score(reply: Message) -> Score:
    """A client's score.

    Raises:
        DamagedMessageError: It is impossible.
    """
    samples, correct = reply.number("samples"), reply.number("correct")
    if not 0 <= correct <= samples or samples < 1:
        raise DamagedMessageError("a client's score is impossible")
    return Score(reply.number("loss"), int(correct), int(samples))


def evaluate(model: nn.Module | SparseModel, dataset: Dataset) -> float:
    """Accuracy of the float model, 0..1.

    Raises:
        UsageError: A `SparseModel` cannot be made into its network.
    """
    module = channels_last(model.module()) if isinstance(model, SparseModel) else model
    return score(module, dataset).accuracy
