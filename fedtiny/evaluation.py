"""Accuracy on held-out images, of a graph and of the deployed C."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph
from fedtiny.compiler.quantization import per_tensor, quantize_values
from fedtiny.compiler.reference import execute
from fedtiny.errors import UsageError
from fedtiny.progress import SILENT, Progress
from fedtiny.report.model import TensorInfo

if TYPE_CHECKING:
    from fedtiny.data import Dataset

BATCH = 100


def test_set(name: str | None, graph: Graph) -> Dataset | None:
    """The test set of the data a model was trained on; None where it is not at hand.

    Args:
        name: Name or path of the dataset, if known.
        graph: The model; data of another shape do not count.
    """
    from fedtiny.data import load_dataset

    if name is None:
        return None
    try:
        dataset = load_dataset(name).test()
    except UsageError:
        return None
    channels, height, width = dataset.input_shape
    return dataset if graph[graph.inputs[0]].shape == (1, height, width, channels) else None


def real_inputs(dataset: Dataset) -> NDArray[np.float32]:
    """A dataset as a float graph's input: `(N, H, W, C)`."""
    return np.ascontiguousarray(np.moveaxis(dataset.network_input(), 1, -1))


def graph_inputs(dataset: Dataset, graph: Graph) -> NDArray[Any]:
    """A dataset as a graph's input: `(N, H, W, C)` in the graph's dtype."""
    tensor = graph[graph.inputs[0]]
    real = real_inputs(dataset)
    if tensor.dtype == "float32" or tensor.quantization is None:
        return real
    return quantize_values(real, tensor.quantization)


def program_inputs(dataset: Dataset, tensor: TensorInfo) -> NDArray[Any]:
    """A dataset as a program's input, from what its report says of it."""
    real = real_inputs(dataset)
    if tensor.scale is None or tensor.zero_point is None:
        return real
    return quantize_values(real, per_tensor(tensor.scale, tensor.zero_point))


def graph_accuracy(
    graph: Graph, dataset: Dataset, title: str, progress: Progress = SILENT
) -> float:
    """Share of samples whose largest output is their label, by the reference executor."""
    inputs = graph_inputs(dataset, graph)
    correct = 0
    with progress.task(title, len(inputs)) as task:
        for start in range(0, len(inputs), BATCH):
            batch = inputs[start : start + BATCH]
            outputs = execute(graph, {graph.inputs[0]: batch})[graph.outputs[0]]
            correct += _correct(outputs, dataset.labels[start : start + BATCH])
            task.advance(len(batch))
    return correct / len(inputs)


def deployed_accuracy(
    directory: Path, inputs: NDArray[Any], labels: NDArray[np.int64], progress: Progress = SILENT
) -> float:
    """The same for an export's C, compiled for this machine.

    Args:
        directory: The export folder.
        inputs: `(N, H, W, C)` in the program's dtype.
        labels: `(N,)`.
        progress: Where to report.
    """
    from fedtiny.deployment import deployed

    model = deployed(directory)
    correct = 0
    with progress.task("accuracy of the C program", len(inputs)) as task:
        for start in range(0, len(inputs), BATCH):
            batch = inputs[start : start + BATCH]
            correct += _correct(model.predict(batch), labels[start : start + BATCH])
            task.advance(len(batch))
    return correct / len(inputs)


def _correct(outputs: NDArray[Any], labels: NDArray[np.int64]) -> int:
    return int((outputs.reshape(len(outputs), -1).argmax(1) == labels).sum())
