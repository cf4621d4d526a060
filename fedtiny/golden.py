"""Golden vectors: inputs and what the reference makes of them, for every runner to be held to."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph
from fedtiny.compiler.reference import execute
from fedtiny.errors import UsageError

REFERENCE = "fedtiny reference executor (TensorFlow Lite int8 specification)"


@dataclass(frozen=True)
class Golden:
    """What every runner must reproduce.

    Attributes:
        inputs: `(N, H, W, C)` in the program's dtype.
        outputs: `(N, ...)` in the program's dtype.
        layers: Names of the layers, in order of execution.
        digests: uint32 `(N, layers)`: CRC-32 of each layer's output, row-major NHWC bytes.
    """

    inputs: NDArray[np.generic]
    outputs: NDArray[np.generic]
    layers: tuple[str, ...]
    digests: NDArray[np.uint32]

    def save(self, path: Path) -> None:
        """Write an `.npz`; the same vectors give the same bytes."""
        names = np.array([name.encode() for name in self.layers], np.bytes_)
        np.savez(path, inputs=self.inputs, outputs=self.outputs, digests=self.digests, layers=names)

    @classmethod
    def load(cls, path: Path) -> Golden:
        """Read an `.npz`.

        Raises:
            UsageError: It is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                golden = cls(
                    file["inputs"],
                    file["outputs"],
                    tuple(name.decode() for name in file["layers"]),
                    file["digests"],
                )
        except Exception as error:  # numpy and zipfile raise many kinds on damaged files
            raise UsageError(f"cannot read golden vectors {str(path)!r}: {error}.") from error
        expected = (len(golden.inputs), len(golden.layers))
        if len(golden.outputs) != expected[0] or golden.digests.shape != expected:
            raise UsageError(f"golden vectors {str(path)!r} contradict themselves.")
        return golden


def make_golden(
    graph: Graph, layers: tuple[tuple[str, str], ...], inputs: NDArray[np.generic]
) -> Golden:
    """Run the reference over inputs.

    Args:
        graph: The graph that the program was planned from.
        layers: (name, output tensor) of every layer of the program, in order.
        inputs: `(N, H, W, C)`, in the graph's input dtype.
    """
    outputs, digests = [], []
    for x in inputs:
        values = execute(graph, {graph.inputs[0]: x[None]}, keep_all=True)
        outputs.append(values[graph.outputs[0]][0])
        digests.append([crc(values[tensor]) for _, tensor in layers])
    return Golden(
        inputs,
        np.stack(outputs),
        tuple(name for name, _ in layers),
        np.array(digests, np.uint32).reshape(len(inputs), len(layers)),
    )


def crc(values: NDArray[np.generic]) -> int:
    """CRC-32 of an array's row-major bytes, little-endian."""
    return zlib.crc32(np.ascontiguousarray(values).tobytes())
