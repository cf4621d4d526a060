"""Run a TensorFlow Lite file in LiteRT (or in tflite-runtime, where that is what is installed)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.frontends.tflite_flatbuffer import Flatbuffer
from fedtiny.compiler.frontends.tflite_metadata import read_metadata
from fedtiny.errors import RunnerError, UsageError
from fedtiny.exporters.tolerance import TOLERANCE_KEY

PACKAGES = ("ai_edge_litert", "tflite_runtime")


def interpreter(path: Path, reference: bool = True, threads: int = 1) -> Any:
    """Open a file in an interpreter, tensors allocated.

    Args:
        path: A `.tflite` file.
        reference: Use LiteRT's reference kernels, which are the int8 specification, and keep every
            tensor. Otherwise use its defaults (XNNPACK), whose integers may differ by some LSBs.
        threads: How many it may use.

    Raises:
        RunnerError: Neither package is installed.
        UsageError: The file is missing or is no model that the interpreter accepts.
    """
    module = _module()
    if not path.is_file():
        raise UsageError(f"TensorFlow Lite file {str(path)!r} does not exist.")
    options: dict[str, Any] = {"num_threads": threads}
    if reference:
        options["experimental_op_resolver_type"] = module.OpResolverType.BUILTIN_REF
        options["experimental_preserve_all_tensors"] = True
    try:
        made = module.Interpreter(model_path=str(path), **options)
        made.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"{str(path)!r} is no usable TensorFlow Lite file: {reason}") from error
    return made


def run(
    path: Path,
    inputs: Mapping[str, NDArray[Any]],
    reference: bool = True,
    keep_all: bool = False,
) -> dict[str, NDArray[Any]]:
    """Run a file on samples, one at a time.

    Args:
        path: A `.tflite` file with batch 1.
        inputs: By tensor name, `(N, ...)` of the tensor's dtype.
        reference: As for `interpreter`.
        keep_all: Return every activation rather than only the outputs; needs `reference`.

    Returns:
        Arrays by tensor name, `(N, ...)`.

    Raises:
        RunnerError: Neither package is installed.
        UsageError: The file is unusable, or an input is missing or has the wrong shape or dtype.
    """
    if keep_all and not reference:
        raise UsageError("keep_all needs the reference kernels: others overwrite tensors.")
    engine = interpreter(path, reference)
    wanted = {detail["name"]: detail for detail in engine.get_input_details()}
    for name, detail in wanted.items():
        shape, dtype = tuple(detail["shape"][1:]), np.dtype(detail["dtype"])
        x = inputs.get(name)
        if x is None or x.shape[1:] != shape or x.dtype != dtype:
            have = "missing" if x is None else f"{x.dtype}{x.shape}"
            raise UsageError(f"input {name!r} is {have}; {dtype}{('N', *shape)} is wanted.")
    made = engine.get_output_details()
    if keep_all:
        written = {i for op in engine._get_ops_details() for i in op["outputs"]}
        written |= {detail["index"] for detail in wanted.values()}
        made = [detail for detail in engine.get_tensor_details() if detail["index"] in written]
    results: dict[str, list[NDArray[Any]]] = {detail["name"]: [] for detail in made}
    for sample in range(len(next(iter(inputs.values())))):
        for name, detail in wanted.items():
            engine.set_tensor(detail["index"], inputs[name][sample : sample + 1])
        engine.invoke()
        for detail in made:
            results[detail["name"]].append(engine.get_tensor(detail["index"]))
    return {name: np.concatenate(parts) for name, parts in results.items()}


def tolerance_lsb(path: Path) -> int:
    """By how many LSBs the default delegate's outputs may differ, as an int8 file of ours says.

    Raises:
        UsageError: The file does not say it.
    """
    content = read_metadata(Flatbuffer(path.read_bytes(), path.name).root())
    stated = content.get(TOLERANCE_KEY)
    if not isinstance(stated, int) or stated < 0:
        raise UsageError(f"the TFLite file has no metadata {TOLERANCE_KEY!r}; export it again.")
    return stated


def package() -> str:
    """The package that is used: the first of `PACKAGES` that is installed.

    Raises:
        RunnerError: None is.
    """
    return str(_module().__name__.partition(".")[0])


def _module() -> Any:
    for package in PACKAGES:
        try:
            return importlib.import_module(f"{package}.interpreter")
        except ImportError:
            continue
    raise RunnerError("LiteRT is not installed; install ai-edge-litert (or tflite-runtime).")
