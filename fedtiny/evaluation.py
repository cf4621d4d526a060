"""How good a graph and the deployed C are on held-out samples.

That is the accuracy; of a network whose output is a reconstruction of its input it is the area
under the ROC curve, where samples are labelled as normal (0) or not, else the mean squared error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph
from fedtiny.compiler.quantization import per_tensor, quantize_values
from fedtiny.compiler.reference import execute
from fedtiny.errors import UsageError
from fedtiny.progress import SILENT, Progress
from fedtiny.ranking import auc
from fedtiny.report.model import Metric, ModelInfo, TensorInfo

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


def metric(dataset: Dataset, outputs: int) -> Metric:
    """What a network of so many outputs is judged by."""
    if outputs == len(dataset.classes) or outputs != math.prod(dataset.input_shape):
        return "accuracy"
    odd = (dataset.labels != 0).mean()
    return "AUC" if 0 < odd < 1 else "mean squared error"


def graph_quality(graph: Graph, dataset: Dataset, title: str, progress: Progress = SILENT) -> float:
    """Of the reference executor's outputs."""
    output = graph[graph.outputs[0]]

    def run(batch: NDArray[Any]) -> NDArray[Any]:
        return execute(graph, {graph.inputs[0]: batch})[output.name]

    def real(values: NDArray[Any]) -> NDArray[np.float64]:
        quantization = output.quantization
        if output.dtype == "float32" or quantization is None:
            return values.astype(np.float64)
        return (values.astype(np.float64) - quantization.zero_point) * quantization.scale

    how = metric(dataset, math.prod(output.shape[1:]))
    return _quality(run, real, graph_inputs(dataset, graph), dataset, how, title, progress)


def deployed_quality(
    directory: Path,
    model: ModelInfo,
    dataset: Dataset,
    how: Metric,
    progress: Progress = SILENT,
) -> float:
    """The same for an export's C, compiled for this machine.

    Args:
        directory: The export folder.
        model: What its report says of the program's input and output.
        dataset: The samples.
        how: What it is judged by.
        progress: Where to report.
    """
    from fedtiny.deployment import deployed

    def real(values: NDArray[Any]) -> NDArray[np.float64]:
        scale, zero = model.output.scale, model.output.zero_point
        shifted = values.astype(np.float64) - (zero or 0)
        return shifted if scale is None else shifted * scale

    inputs = program_inputs(dataset, model.input)
    title = f"{how} of the C program"
    return _quality(deployed(directory).predict, real, inputs, dataset, how, title, progress)


def _quality(
    run: Callable[[NDArray[Any]], NDArray[Any]],
    real: Callable[[NDArray[Any]], NDArray[np.float64]],
    inputs: NDArray[Any],
    dataset: Dataset,
    how: Metric,
    title: str,
    progress: Progress,
) -> float:
    """Run all samples and judge the outputs, which `real` makes real numbers of."""
    scores = []
    wanted = real_inputs(dataset).reshape(len(dataset), -1)
    with progress.task(title, len(inputs)) as task:
        for start in range(0, len(inputs), BATCH):
            batch = inputs[start : start + BATCH]
            outputs = run(batch).reshape(len(batch), -1)
            if how == "accuracy":
                labels = dataset.labels[start : start + BATCH]
                scores.append((outputs.argmax(1) == labels).astype(np.float64))
            else:
                difference = real(outputs) - wanted[start : start + BATCH]
                scores.append((difference**2).mean(1))
            task.advance(len(batch))
    values = np.concatenate(scores)
    ranked = auc(values, dataset.labels) if how == "AUC" else None
    return float(values.mean()) if ranked is None else ranked
