"""Run our ONNX files in onnxruntime, with arrays in the graph's own layout and dtype."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph
from fedtiny.compiler.quantization import dequantize_values, quantize_values
from fedtiny.errors import RunnerError, UsageError


def run(path: Path, graph: Graph, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Run an exported file on a batch.

    Args:
        path: What `fedtiny.exporters.onnx.write` wrote.
        graph: The graph it was written from: it says layouts and quantizations.
        inputs: By name, `(N, H, W, C)` in the graph's dtype.

    Returns:
        The outputs by name, in the graph's layout and dtype, comparable with
        `fedtiny.compiler.reference.execute`.

    Raises:
        RunnerError: onnxruntime is not installed.
        UsageError: The file is missing or onnxruntime does not accept it.
    """
    session = open_session(path)
    fed = {}
    for name in graph.inputs:
        quantization = graph[name].quantization
        x = inputs[name] if quantization is None else dequantize_values(inputs[name], quantization)
        fed[name] = to_nchw(x)
    results = {}
    for name, y in zip(graph.outputs, session.run(list(graph.outputs), fed), strict=True):
        quantization = graph[name].quantization
        y = to_nhwc(y)
        results[name] = y if quantization is None else quantize_values(y, quantization)
    return results


def module() -> Any:
    """The package itself.

    Raises:
        RunnerError: It is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise RunnerError("onnxruntime is not installed; install onnxruntime.") from error
    return onnxruntime


def open_session(path: Path, threads: int = 1) -> Any:
    """Open a file in onnxruntime.

    Args:
        path: An `.onnx` or `.ort` file.
        threads: How many it may use.

    Raises:
        RunnerError: onnxruntime is not installed.
        UsageError: The file is missing or onnxruntime does not accept it.
    """
    onnxruntime = module()
    if not path.is_file():
        raise UsageError(f"ONNX file {str(path)!r} does not exist.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        # onnxruntime folds a Pad into a pooling even where its own pooling then refuses it.
        return onnxruntime.InferenceSession(
            str(path),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["Pad_Fusion"],
        )
    except Exception as error:  # onnxruntime's exceptions share no public base
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"{str(path)!r} is no usable ONNX file: {reason}") from error


def tolerance_lsb(session: Any) -> int:
    """By how many LSBs the outputs may differ from the reference, as an int8 file of ours says.

    Raises:
        UsageError: The file does not say it.
    """
    from fedtiny.exporters.tolerance import TOLERANCE_KEY

    stated = session.get_modelmeta().custom_metadata_map.get(TOLERANCE_KEY, "")
    if not stated.isdigit():
        raise UsageError(f"the ONNX file has no metadata {TOLERANCE_KEY!r}; export it again.")
    return int(stated)


def to_nchw(x: NDArray[Any]) -> NDArray[Any]:
    """Maps `(N, H, W, C)` as ONNX wants them; other arrays as they are."""
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x)


def to_nhwc(x: NDArray[Any]) -> NDArray[Any]:
    """Maps `(N, C, H, W)` as graphs want them; other arrays as they are."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1) if x.ndim == 4 else x)
