"""Run an exported model's C on this machine: arrays in, arrays out."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedtiny.compiler.quantization import dequantize_values, per_tensor, quantize_values
from fedtiny.devices.cache import cache_folder
from fedtiny.devices.image import model_sources
from fedtiny.errors import RunnerError, UsageError
from fedtiny.library import Info, Network
from fedtiny.runtime import build

Array = NDArray[np.generic]

_DTYPES = {"int8_t": "int8", "float": "float32"}
_STATUS = ("OK", "ARGUMENT", "ARENA", "SIZE", "STATE", "MODEL")


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of an exported model.

    Attributes:
        name: Its name (of a layer's output: the layer's name).
        shape: With batch size 1.
        dtype: As in the C program.
        scale: `real = scale * (q - zero_point)`; 0 where numbers are real already.
        zero_point: 0 without a scale.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


class Deployed:
    """An exported model, compiled for this machine; make one with `deployed`.

    Attributes:
        inputs: Of the model.
        outputs: Of the model.
        layers: The output of every layer, in order.
        arena_bytes: Memory that an inference writes, on this machine.
        arena_address: Where that memory is.
        library: What the model was compiled into.
    """

    def __init__(self, library: Path) -> None:
        """Load what `build_library` built."""
        self.library = ctypes.CDLL(str(library))
        self.inputs = _tensors(self.library, "deployed_inputs")
        self.outputs = _tensors(self.library, "deployed_outputs")
        self.layers = _tensors(self.library, "deployed_layers")
        self.arena_bytes = int(ctypes.c_uint32.in_dll(self.library, "deployed_arena_bytes").value)
        alignment = int(ctypes.c_uint32.in_dll(self.library, "deployed_arena_alignment").value)
        memory = np.zeros(self.arena_bytes + alignment, np.uint8)
        start = -memory.ctypes.data % alignment
        self._arena = memory[start : start + self.arena_bytes]
        self.arena_address = ctypes.c_void_p(self._arena.ctypes.data)

    def predict(self, *x: ArrayLike) -> Any:
        """Run the model.

        Args:
            *x: One array for every input, `(N, ...)` with the input's shape after the batch
                dimension, NHWC. An int8 model takes int8 as it is, and real numbers with the
                conversion that its scale says.

        Returns:
            The output, `(N, ...)`; a tuple of them when the model has several. Real numbers when
            the inputs were, else what the model computes.

        Raises:
            UsageError: The number, shape or dtype of the inputs is wrong.
            RunnerError: The runtime refused.
        """
        inputs, real = self._checked(x)
        samples = [self._run([array[i : i + 1] for array in inputs]) for i in range(len(inputs[0]))]
        outputs = []
        for index, info in enumerate(self.outputs):
            values = np.concatenate([sample[index] for sample in samples])
            if real and info.dtype == "int8":
                if not info.scale:
                    raise UsageError(f"output {info.name!r} is int8 without a scale; give int8.")
                values = dequantize_values(values, per_tensor(info.scale, info.zero_point))
            outputs.append(values)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def tap(self, *x: ArrayLike) -> dict[str, Array]:
        """Run one sample and keep every layer's output, by the layer's name.

        Args:
            *x: As for `predict`, with N = 1.
        """
        inputs, _ = self._checked(x)
        if len(inputs[0]) != 1:
            raise UsageError(f"tap takes one sample, got {len(inputs[0])}.")
        found = {info.name: np.zeros(info.shape, info.dtype) for info in self.layers}
        pointers = (ctypes.c_void_p * len(found))(*(a.ctypes.data for a in found.values()))
        self._run(inputs, pointers)
        return found

    def _checked(self, x: tuple[ArrayLike, ...]) -> tuple[list[Array], bool]:
        """Inputs in the model's dtypes, and whether they were real numbers."""
        if len(x) != len(self.inputs):
            raise UsageError(f"the model has {len(self.inputs)} inputs, got {len(x)}.")
        arrays = [np.asarray(array) for array in x]
        real = all(np.issubdtype(array.dtype, np.floating) for array in arrays)
        found = [self._converted(i, a) for i, a in zip(self.inputs, arrays, strict=True)]
        if len({len(array) for array in found}) != 1 or len(found[0]) == 0:
            raise UsageError(f"batch sizes must be equal and positive: {[len(a) for a in found]}.")
        return found, real

    def _converted(self, info: TensorInfo, array: Array) -> Array:
        expected = ("N", *info.shape[1:])
        if array.ndim != len(info.shape) or array.shape[1:] != info.shape[1:]:
            raise UsageError(f"input {info.name!r} must have shape {expected}, got {array.shape}.")
        if array.dtype == info.dtype:
            return np.ascontiguousarray(array)
        if np.issubdtype(array.dtype, np.floating):
            if info.dtype == "float32":
                return np.ascontiguousarray(array, np.float32)
            if info.scale:
                real = np.asarray(array, np.float32)
                return quantize_values(real, per_tensor(info.scale, info.zero_point))
        accepted = f"{info.dtype} or float32" if info.scale else info.dtype
        raise UsageError(f"input {info.name!r} must be {accepted}, got {array.dtype}.")

    def _run(self, inputs: list[Array], tap: Any = None) -> list[Array]:
        source = b"".join(array.tobytes() for array in inputs)
        # numpy's memory is aligned for any type, which that of a bytes object need not be.
        data = np.frombuffer(source, np.uint8).copy()
        sizes = [int(np.prod(i.shape)) * np.dtype(i.dtype).itemsize for i in self.outputs]
        result = np.zeros(sum(sizes), np.uint8)
        call = (
            self.arena_address,
            ctypes.c_void_p(data.ctypes.data),
            ctypes.c_void_p(result.ctypes.data),
        )
        if tap is None:
            status = self.library.model_invoke(*call)
        else:
            status = self.library.deployed_tap(*call, tap)
        raise_on(status)
        parts = np.split(result, np.cumsum(sizes)[:-1])
        return [
            part.view(info.dtype).reshape(info.shape)
            for part, info in zip(parts, self.outputs, strict=True)
        ]


class PackedModel(Deployed):
    """A packed model in libfedtiny; make one with `deployed`."""

    def __init__(self, path: Path) -> None:
        """Load a `.fedtiny` file.

        Raises:
            UsageError: It is missing or damaged.
            RunnerError: The library is not available.
        """
        self.network = Network(path)
        self.inputs = tuple(map(_described, self.network.inputs))
        self.outputs = tuple(map(_described, self.network.outputs))
        self.layers = tuple(map(_described, self.network.layers))
        self.arena_bytes = self.network.arena_bytes

    def tap(self, *x: ArrayLike) -> dict[str, Array]:
        """Not for packed models: the library keeps no layer's output.

        Raises:
            UsageError: Always.
        """
        raise UsageError("a packed model has no tap: export the model with --format c for it.")

    def _run(self, inputs: list[Array], tap: Any = None) -> list[Array]:
        return self.network.invoke(inputs)


def _described(info: Info) -> TensorInfo:
    return TensorInfo(info.text, info.dims, info.dtype, info.scale, info.zero_point)


def raise_on(status: int) -> None:
    """Raise what a status other than FEDTINY_OK means.

    Raises:
        RunnerError: There was an error.
    """
    if status:
        name = _STATUS[status] if 0 < status < len(_STATUS) else str(status)
        raise RunnerError(f"the exported model failed with FEDTINY_ERROR_{name}.")


def deployed(directory: str | Path) -> Deployed:
    """Run an export on this machine: its packed model in libfedtiny, or its C, compiled here.

    Args:
        directory: An export folder with C, or without C but with `model.fedtiny`; or such a file.

    Raises:
        UsageError: It holds neither, or the packed model is damaged.
        RunnerError: There is no compiler, or it failed.
    """
    place = Path(directory)
    folder, packed = place / "c", place if place.is_file() else place / "model.fedtiny"
    if not (folder / "model.h").is_file():
        if packed.is_file():
            return PackedModel(packed)
        raise UsageError(
            f"{str(directory)!r} is no export folder with C: it has no c/model.h, nor a "
            "model.fedtiny."
        )
    return Deployed(build_library(folder))


class _Tensor(ctypes.Structure):
    """`deployed_tensor` of deployment.c."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_char_p),
        ("scale", ctypes.c_float),
        ("zero_point", ctypes.c_int32),
        ("dimensions", ctypes.c_int32),
        ("shape", ctypes.c_int32 * 8),
    )


def _tensors(library: ctypes.CDLL, symbol: str) -> tuple[TensorInfo, ...]:
    found: list[TensorInfo] = []
    first = _Tensor.in_dll(library, symbol)
    items = ctypes.cast(ctypes.pointer(first), ctypes.POINTER(_Tensor))
    while items[len(found)].name is not None:
        item = items[len(found)]
        found.append(
            TensorInfo(
                name=item.name.decode(),
                shape=tuple(item.shape[: item.dimensions]),
                dtype=_DTYPES[item.type.decode()],
                scale=item.scale,
                zero_point=item.zero_point,
            )
        )
    return tuple(found)


def build_library(folder: Path) -> Path:
    """Build an export's `c/` folder into a shared library of this machine, or find it built.

    Raises:
        RunnerError: There is no compiler, or it failed.
    """
    sources = model_sources(folder)
    compiler = build.host_compiler()
    version = subprocess.run([*compiler, "--version"], capture_output=True, check=False).stdout
    flags = (*build.FLAGS, *build.vector_flags())
    digest = hashlib.sha256(version + "\0".join((*compiler, *flags)).encode())
    glue = resources.files("fedtiny") / "deployment.c"
    digest.update(glue.read_bytes())
    for path in sorted((*sources, *folder.rglob("*.h"))):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    target = cache_folder("models") / f"{digest.hexdigest()[:24]}.so"
    if target.is_file():
        return target
    try:
        with tempfile.TemporaryDirectory(dir=target.parent) as work, resources.as_file(glue) as own:
            built = Path(work) / target.name
            files = [str(path) for path in (*sources, own)]
            command = [*compiler, *flags, f"-I{folder}", *files, "-o", str(built)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RunnerError(f"the C compiler failed on {folder}:\n{done.stderr.strip()}")
            built.replace(target)
    except OSError as error:
        raise RunnerError(f"cannot build in {target.parent}: {error.strerror}.") from error
    return target
