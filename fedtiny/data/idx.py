"""The IDX format of MNIST and its kin: a big-endian header, then bytes; gzip-compressed or not.

Source: the MNIST file format description by LeCun, Cortes and Burges.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedtiny.data.dataset import Dataset
from fedtiny.errors import UsageError

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes.

    Raises:
        UsageError: It is missing, damaged or of another type.
    """
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot read IDX file {str(path)!r}: {error}.") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != _UNSIGNED_BYTE or not 1 <= raw[3] <= 4:
        raise UsageError(f"{str(path)!r} is not an IDX file of unsigned bytes.")
    header = 4 + 4 * raw[3]
    if len(raw) < header:
        raise UsageError(f"IDX file {str(path)!r} is truncated in its header.")
    shape = struct.unpack(f">{raw[3]}I", raw[4:header])
    expected = header + int(np.prod(shape, dtype=object))
    if len(raw) != expected:
        raise UsageError(
            f"IDX file {str(path)!r} is damaged: {len(raw)} bytes where its shape {shape} "
            f"needs {expected}."
        )
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def write_idx(path: Path, array: npt.NDArray[np.uint8]) -> None:
    """Write an IDX file, compressed; equal arrays give equal bytes."""
    header = bytes([0, 0, _UNSIGNED_BYTE, array.ndim]) + struct.pack(
        f">{array.ndim}I", *array.shape
    )
    path.write_bytes(gzip.compress(header + array.tobytes(), compresslevel=9, mtime=0))


def load_folder(name: str, folder: Path, classes: tuple[str, ...] | None = None) -> Dataset:
    """Load `train-*` and `t10k-*` image and label files, with or without `.gz`.

    Args:
        name: The dataset's name.
        folder: Where the four files are.
        classes: Names of the labels; the numbers that occur by default.

    Raises:
        UsageError: A file is missing or damaged, or images and labels do not go together.
    """
    parts: dict[str, tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]] = {}
    for part in ("train", "t10k"):
        images = read_idx(_find(folder, f"{part}-images-idx3-ubyte"))
        labels = read_idx(_find(folder, f"{part}-labels-idx1-ubyte")).astype(np.int64)
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise UsageError(
                f"folder {str(folder)!r}: {part} images have shape {images.shape} and labels "
                f"{labels.shape}; accepted is (N, H, W) and (N,)."
            )
        parts[part] = images, labels
    if parts["train"][0].shape[1:] != parts["t10k"][0].shape[1:]:
        raise UsageError(f"folder {str(folder)!r}: training and test images differ in size.")
    labels = np.concatenate([parts[part][1] for part in parts])
    if classes is None:
        classes = tuple(str(i) for i in range(int(labels.max(initial=0)) + 1))
    images = np.concatenate([parts[part][0] for part in parts])[:, np.newaxis]
    return Dataset(name, images, labels, classes, len(parts["train"][0]))


def _find(folder: Path, stem: str) -> Path:
    for name in (f"{stem}.gz", stem):
        if (folder / name).is_file():
            return folder / name
    raise UsageError(f"folder {str(folder)!r} has no file {stem}.gz or {stem}.")
