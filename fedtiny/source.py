"""Open whatever MODEL names: a RUN folder, its .safetensors, or anybody's .onnx or .tflite file."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.histogram import Histogram
from fedtiny.compiler.ir import Graph
from fedtiny.errors import UsageError
from fedtiny.report.model import Training
from fedtiny.report.run import RUN_FILE, read_run

if TYPE_CHECKING:
    from fedtiny.sparse_model import SparseModel

MODEL_FILE = "model.safetensors"
KINDS = "a RUN folder of `fedtiny train`, its .safetensors, or an .onnx or .tflite file"


@dataclass(frozen=True)
class Source:
    """A model as the compiler takes it.

    Attributes:
        name: Its name, never a path.
        sha256: Of the file that was read.
        graph: float32, or int8 already.
        ranges: By activation, (min, max) from federated calibration; empty when there is none.
        histograms: By activation, what `ranges` came from; empty when only they are known.
        samples: Public inputs `(N, H, W, C)` as real numbers, where the model holds some.
        dataset: Name or path of the data it was trained on, where that is known.
        training: Its history, where it came from a run.
    """

    name: str
    sha256: str
    graph: Graph
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    samples: NDArray[np.float32] | None = None
    dataset: str | None = None
    training: Training | None = None


def open_source(model: Path | SparseModel) -> Source:
    """Open a model.

    Args:
        model: A path (see `KINDS`), or a trained model in memory.

    Raises:
        UsageError: It is missing, damaged, or of no accepted kind; or it uses what the compiler
            does not support.
    """
    if not isinstance(model, Path):
        return _in_memory(model)
    path = model
    run = path if path.is_dir() else path.parent
    file = path / MODEL_FILE if path.is_dir() else path
    if not file.is_file():
        what = (
            f"folder {str(path)!r} holds no {MODEL_FILE}"
            if path.is_dir()
            else (f"model {str(path)!r} does not exist")
        )
        raise UsageError(f"{what}; accepted is {KINDS}.")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read model {str(file)!r}: {error.strerror}.") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if file.suffix == ".safetensors":
        return _trained(file, run, sha256)
    from fedtiny.compiler.frontends.open_model import open_model

    return Source(file.stem, sha256, open_model(file))


def _trained(file: Path, run: Path, sha256: str) -> Source:
    from fedtiny.sparse_model import SparseModel

    training = read_training(run) if file.name == MODEL_FILE else None
    return _sparse(SparseModel.load(file), sha256, training)


def _in_memory(model: SparseModel) -> Source:
    with tempfile.TemporaryDirectory(prefix="fedtiny-") as folder:
        file = Path(folder) / MODEL_FILE
        model.save(file)
        return _sparse(model, hashlib.sha256(file.read_bytes()).hexdigest(), None)


def _sparse(model: SparseModel, sha256: str, training: Training | None) -> Source:
    from fedtiny.compiler.frontends.torch_module import from_sparse_model

    graph = from_sparse_model(model)
    dataset = model.provenance.dataset
    samples = None
    if model.samples is not None:
        images = model.samples.numpy()
        real = images.astype(np.float32) / np.float32(255 if images.dtype == np.uint8 else 1)
        samples = np.ascontiguousarray(np.moveaxis(real, 1, -1)) if real.ndim == 4 else real
    return Source(
        name=graph.name,
        sha256=sha256,
        graph=graph,
        ranges=model.ranges,
        histograms=model.histograms,
        samples=samples,
        dataset=dataset,
        training=training,
    )


def read_training(folder: Path) -> Training | None:
    """The history of a run for its report; None when there is no `run.json`.

    Raises:
        UsageError: The file is damaged.
    """
    if not (folder / RUN_FILE).is_file():
        return None
    run = read_run(folder)
    config = run.config
    return Training(
        method=config.method,
        dataset=config.data,
        density=config.density,
        clients=config.clients,
        seed=config.seed,
        rounds=tuple(entry.for_chart for entry in run.history),
    )
