"""Arrays from `.npz` files that anybody may have made or damaged.

What zipfile and numpy raise on such files is of many kinds, and they take memory because a header
says so. Here every failure is a `ValueError` that says what is wrong, and memory is taken only for
what the file holds.
"""

from __future__ import annotations

import math
import os
import warnings
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from fedtiny.reading import reason

Array = npt.NDArray[np.generic]

_DEFLATE_RATIO = 1032
"""Deflate cannot expand a byte to more. Source: RFC 1951 (258 bytes from two bits)."""
_SINGLE = b"\x93NUMPY"
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_arrays(path: Path) -> dict[str, Array]:
    """Read the arrays of an `.npz` file; nothing in it is executed.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no `.npz`, is damaged, or holds Python objects.
    """
    with path.open("rb") as file:
        if file.read(len(_SINGLE)) == _SINGLE:
            raise ValueError("it is a single array")
        most = file.seek(0, os.SEEK_END) * _DEFLATE_RATIO
        try:
            with zipfile.ZipFile(file) as archive, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numpy warns of what it then reads or refuses
                return {
                    name.removesuffix(".npy"): _read_array(archive, archive.getinfo(name), most)
                    for name in archive.namelist()
                    if name.endswith(".npy")
                }
        except Exception as error:  # zipfile, zlib and numpy raise many kinds on damaged files
            raise ValueError(reason(error)) from None


def _read_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> Array:
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"array {entry.filename!r} is neither stored nor deflated")
    if entry.file_size > most:
        raise ValueError(f"array {entry.filename!r} is larger than the file can hold")
    with archive.open(entry) as file:
        shape, fortran_order, dtype = _read_header(file, entry.filename)
        expected, held = math.prod(shape) * dtype.itemsize, entry.file_size - file.tell()
        if dtype.hasobject or expected != held or dtype.itemsize == 0:
            raise ValueError(
                f"array {entry.filename!r} is {dtype} {shape}, of {expected} bytes where the file "
                f"holds {held}"
            )
        data = bytearray(file.read())
        if len(data) != held:
            raise ValueError(f"array {entry.filename!r} is truncated")
    flat: Array = np.frombuffer(data, dtype)
    return flat.reshape(shape, order="F" if fortran_order else "C")


def _read_header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"array {name!r} has format version {version}")
    return _HEADERS[version](file)
