"""CIFAR-10 and CIFAR-100 in their published formats, Python and binary.

Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, and the format
description beside the data. The Python version is pickled; nothing but plain values and NumPy
arrays is read from it, so that a file cannot run anything.
"""

from __future__ import annotations

import importlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedtiny.data.dataset import Dataset
from fedtiny.errors import UsageError

_PIXELS = 3 * 32 * 32
_ALLOWED = {
    "numpy.core.multiarray": ("numpy._core.multiarray", ("_reconstruct", "scalar")),
    "numpy._core.multiarray": ("numpy._core.multiarray", ("_reconstruct", "scalar")),
    "numpy": ("numpy", ("ndarray", "dtype")),
    "_codecs": ("_codecs", ("encode",)),
}
"""By module as pickled: the module now, and the names that reading an array needs."""

_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))

Part = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def holds_cifar(folder: Path) -> bool:
    """Whether a folder looks like one of the four."""
    marks = ("batches.meta", "batches.meta.txt", "meta", "fine_label_names.txt")
    return any((folder / mark).is_file() for mark in marks)


def load_cifar(folder: Path) -> Dataset:
    """Load `cifar-10-batches-py`, `cifar-10-batches-bin`, `cifar-100-python` or `-binary`.

    CIFAR-100 has its 100 fine labels.

    Raises:
        UsageError: A file is missing or damaged.
    """
    if (folder / "batches.meta").is_file():
        names = _field(folder / "batches.meta", b"label_names")
        train = [_pickled(folder / name, b"labels") for name in _BATCHES]
        test = _pickled(folder / "test_batch", b"labels")
    elif (folder / "meta").is_file():
        names = _field(folder / "meta", b"fine_label_names")
        train = [_pickled(folder / "train", b"fine_labels")]
        test = _pickled(folder / "test", b"fine_labels")
    elif (folder / "batches.meta.txt").is_file():
        names = (folder / "batches.meta.txt").read_bytes().split()
        train = [_binary(folder / f"{name}.bin", 1) for name in _BATCHES]
        test = _binary(folder / "test_batch.bin", 1)
    else:
        names = (folder / "fine_label_names.txt").read_bytes().split()
        train, test = [_binary(folder / "train.bin", 2)], _binary(folder / "test.bin", 2)
    images = np.concatenate([part[0] for part in (*train, test)]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([part[1] for part in (*train, test)])
    classes = tuple(name.decode("utf-8", "replace") for name in names)
    return Dataset(str(folder), images, labels, classes, len(images) - len(test[0]))


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        place, names = _ALLOWED.get(module, ("", ()))
        if name not in names:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no array needs")
        return getattr(importlib.import_module(place), name)


def _field(path: Path, key: bytes) -> Any:
    try:
        content = _Arrays(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    except OSError as error:
        raise UsageError(f"cannot read CIFAR file {str(path)!r}: {error.strerror}.") from error
    except Exception as error:  # a damaged pickle may raise anything
        raise UsageError(f"CIFAR file {str(path)!r} is damaged: {error}.") from error
    if not isinstance(content, dict) or key not in content:
        raise UsageError(f"CIFAR file {str(path)!r} has no {key.decode()!r}.")
    return content[key]


def _pickled(path: Path, key: bytes) -> Part:
    data, labels = _field(path, b"data"), np.asarray(_field(path, key))
    shape = getattr(data, "shape", ())
    if getattr(data, "dtype", None) != np.uint8 or shape != (len(labels.reshape(-1)), _PIXELS):
        raise UsageError(
            f"CIFAR file {str(path)!r}: data are {shape} for {labels.size} labels; accepted is "
            f"uint8 (N, {_PIXELS})."
        )
    return data, labels.reshape(-1).astype(np.int64)


def _binary(path: Path, labels: int) -> Part:
    try:
        raw = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise UsageError(f"cannot read CIFAR file {str(path)!r}: {error.strerror}.") from error
    if not raw.size or raw.size % (labels + _PIXELS):
        raise UsageError(
            f"CIFAR file {str(path)!r} is damaged: {raw.size} bytes are no whole number of "
            f"records of {labels + _PIXELS}."
        )
    records = raw.reshape(-1, labels + _PIXELS)
    return records[:, labels:], records[:, labels - 1].astype(np.int64)
