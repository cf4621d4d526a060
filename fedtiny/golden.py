"""Golden vectors: inputs and what the reference makes of them, for every runner to be held to."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedtiny.arrays import read_arrays
from fedtiny.compiler.ir import Graph, Quantization
from fedtiny.compiler.quantization import (
    INT8_MAX,
    INT8_MIN,
    dequantize_values,
    round_half_away,
)
from fedtiny.compiler.reference import execute
from fedtiny.errors import UsageError
from fedtiny.runtime.packing.layouts import encode

REFERENCE = "the reference executor"
_KEYS = ("inputs", "outputs", "digests", "layers", "lsb")
_DTYPES = (np.dtype(np.int8), np.dtype(np.float32))


@dataclass(frozen=True)
class Golden:
    """What every runner must reproduce.

    Attributes:
        inputs: `(N, H, W, C)` in the program's dtype.
        outputs: `(N, ...)` in the program's dtype.
        layers: Names of the layers, in order of execution.
        lsb: What the outputs' last place is worth: 1 for int8 outputs, their scale where an int8
            program gives real numbers. 0 for a float program, whose outputs have no such grid.
        digests: uint32 `(N, layers)`: CRC-32 of each layer's output, bytes in its layout.
    """

    inputs: NDArray[np.generic]
    outputs: NDArray[np.generic]
    layers: tuple[str, ...]
    digests: NDArray[np.uint32]
    lsb: float

    def save(self, path: Path) -> None:
        """Write an `.npz`; the same vectors give the same bytes."""
        names = np.array([name.encode() for name in self.layers], np.bytes_)
        np.savez(
            path,
            inputs=self.inputs,
            outputs=self.outputs,
            digests=self.digests,
            layers=names,
            lsb=np.float64(self.lsb),
        )

    @classmethod
    def load(cls, path: Path) -> Golden:
        """Read an `.npz`.

        Raises:
            UsageError: It is missing or damaged.
        """
        try:
            arrays = read_arrays(path)
            inputs, outputs, digests, names, lsb = (arrays[key] for key in _KEYS)
            if names.ndim != 1 or names.dtype.kind != "S":
                raise ValueError("layers are no list of names")
            layers = tuple(name.decode() for name in names)
        except KeyError as error:
            raise UsageError(f"golden vectors {str(path)!r} hold no {error}.") from error
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"cannot read golden vectors {str(path)!r}: {reason}.") from error
        numbers = all(a.dtype in _DTYPES and a.ndim for a in (inputs, outputs))
        if not numbers or lsb.shape != () or lsb.dtype != np.float64:
            raise UsageError(f"golden vectors {str(path)!r} are of other types than ours.")
        expected = (len(inputs), len(layers))
        if len(outputs) != expected[0] or digests.dtype != np.uint32 or digests.shape != expected:
            raise UsageError(f"golden vectors {str(path)!r} contradict themselves.")
        return cls(inputs, outputs, layers, digests.astype(np.uint32), float(lsb))


def make_golden(
    graph: Graph,
    layers: tuple[tuple[str, str], ...],
    real: NDArray[np.float32],
    io: Literal["int8", "float32"],
) -> Golden:
    """Run the reference over inputs.

    Args:
        graph: The graph that the program was planned from.
        layers: (name, output tensor) of every layer of the program, in order.
        real: Inputs `(N, H, W, C)` as real numbers.
        io: What the program exchanges.
    """
    quantization = graph[graph.inputs[0]].quantization
    computed: NDArray[np.generic] = real if quantization is None else quantize(real, quantization)
    outputs, digests = [], []
    for x in computed:
        values = execute(graph, {graph.inputs[0]: x[None]}, keep_all=True)
        outputs.append(values[graph.outputs[0]][0])
        digests.append([crc(encode(graph[name], values[name])) for _, name in layers])
    names = tuple(name for name, _ in layers)
    table = np.array(digests, np.uint32).reshape(len(real), len(layers))
    made: NDArray[np.generic] = np.stack(outputs)
    output = graph[graph.outputs[0]].quantization
    if output is None:
        return Golden(computed, made, names, table, 0.0)
    if io == "int8":
        return Golden(computed, made, names, table, 1.0)
    return Golden(real, dequantize_values(made, output), names, table, float(output.scale))


def quantize(real: NDArray[np.float32], quantization: Quantization) -> NDArray[np.int8]:
    """Quantize inputs as programs do, by a float32 division.

    Where the quotient is nearly a half, `quantize_values`, which divides exactly, may differ.

    Source: TensorFlow Lite's QUANTIZE, `AffineQuantize`.
    """
    scaled = (real / quantization.scale).astype(np.float64)
    q = round_half_away(scaled) + quantization.zero_point
    return np.clip(q, INT8_MIN, INT8_MAX).astype(np.int8)


def crc(values: NDArray[np.generic]) -> int:
    """CRC-32 of an array's row-major bytes, little-endian."""
    return zlib.crc32(np.ascontiguousarray(values).tobytes())
