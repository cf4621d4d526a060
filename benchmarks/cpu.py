"""Time of whole networks on this x86-64 machine, beside onnxruntime and LiteRT in the same run.

    python -m benchmarks.cpu [--network resnet8] [--dtype int8] [--density 0.05] [--runs 200]

One thread, batch 1, the same weights for all three; int8 as QDQ in the ONNX file. All are called
through Python, input and output copied. The contestants take turns run by run, so that whatever
else the machine does slows all of them, and nobody finds the caches as they were left. Printed are
the least time and, in brackets, the 10th to the 90th percentile, in microseconds; then how many
times ours is faster than the better of the two, as a ratio of least times and of medians.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.networks import NETWORKS
from fedtiny.compiler import planner
from fedtiny.compiler.ir import Graph
from fedtiny.compiler.quantization import dequantize_values
from fedtiny.devices import profiles
from fedtiny.exporters import litert, onnx, packed, tflite
from fedtiny.library import Network
from tests.kernels import single_node

DENSITIES = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
WARM_UP = 10
FLOAT_ERROR = 1e-3
INT8_ERROR = 0.1
"""Greatest difference of outputs, relative to the greatest output; the int8 kernels of others round
otherwise than TensorFlow Lite's specification, layer by layer."""

Array = NDArray[Any]


def ours(graph: Graph, folder: Path) -> Callable[[Array], Array]:
    """Packed for x86-64 and run in libfedtiny."""
    path = folder / "model.fedtiny"
    packed.write(planner.plan(graph, profiles.target("x86-64"), "speed"), path)
    network = Network(path)
    return lambda x: network.invoke([x])[0]


def with_onnxruntime(graph: Graph, folder: Path) -> Callable[[Array], Array]:
    """Our ONNX file; onnxruntime wants channels first."""
    import onnxruntime

    path = folder / "model.onnx"
    onnx.write(graph, path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = graph.inputs[0]
    return lambda x: session.run(None, {name: x})[0]


def with_litert(graph: Graph, folder: Path) -> Callable[[Array], Array]:
    """Our TensorFlow Lite file, with LiteRT's default kernels (XNNPACK)."""
    path = folder / "model.tflite"
    tflite.write(graph, path)
    interpreter = litert.interpreter(path, reference=False)
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(x: Array) -> Array:
        interpreter.set_tensor(source["index"], x)
        interpreter.invoke()
        found: Array = interpreter.get_tensor(result["index"])
        return found

    return run


def _real(graph: Graph, name: str, values: Array) -> Array:
    """Numbers that a tensor's values stand for."""
    quantization = graph[name].quantization
    return values if quantization is None else dequantize_values(values, quantization)


def race(graph: Graph, runs: int) -> dict[str, NDArray[np.float64]]:
    """Times of every contestant in microseconds, sorted; outputs are compared before."""
    x = next(iter(single_node.data(graph).values()))
    tolerance = FLOAT_ERROR if x.dtype == np.float32 else INT8_ERROR
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        contestants = {
            "fedtiny": (ours(graph, folder), x),
            "onnxruntime": (
                with_onnxruntime(graph, folder),
                np.ascontiguousarray(_real(graph, graph.inputs[0], x).transpose(0, 3, 1, 2)),
            ),
            "litert": (with_litert(graph, folder), x),
        }
        outputs = [run(data).reshape(-1) for run, data in contestants.values()]
        outputs = [
            found if found.dtype == np.float32 else _real(graph, graph.outputs[0], found)
            for found in outputs
        ]
        for other in outputs[1:]:
            error = np.abs(outputs[0] - other).max() / np.abs(other).max()
            assert error <= tolerance, f"outputs differ by {error}"
        times: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(WARM_UP + runs):
            for name, (run, data) in contestants.items():
                start = time.perf_counter_ns()
                run(data)
                times[name].append((time.perf_counter_ns() - start) / 1000)
    return {name: np.sort(found[WARM_UP:]) for name, found in times.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--network", action="append", choices=tuple(NETWORKS))
    parser.add_argument("--dtype", choices=("float32", "int8"), default="float32")
    parser.add_argument("--density", type=float, action="append")
    parser.add_argument("--runs", type=int, default=200)
    given = parser.parse_args()
    print(f"{'network':10} {'density':>7}  least and (10-90 %) microseconds")
    for name in given.network or ["resnet8"]:
        for density in given.density or DENSITIES:
            times = race(NETWORKS[name](given.dtype, density), given.runs)
            parts = []
            for contestant, found in times.items():
                low, high = np.percentile(found, (10, 90))
                parts.append(f"{contestant} {found[0]:.0f} ({low:.0f}-{high:.0f})")
            ratios = [
                min(measure(times[peer]) for peer in times if peer != "fedtiny")
                / measure(times["fedtiny"])
                for measure in (np.min, np.median)
            ]
            faster = "{:.2f} times faster (medians {:.2f})".format(*ratios)
            print(f"{name:10} {density:7.2f}  {', '.join(parts)}: {faster}", flush=True)


if __name__ == "__main__":
    main()
