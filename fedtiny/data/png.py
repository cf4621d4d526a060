"""Reads PNG images of 8 bits a sample: grey, colour or palette, with or without alpha.

Source: Portable Network Graphics (PNG) Specification, W3C. Interlaced images are not read; alpha is
dropped.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedtiny.errors import UsageError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel by colour type."""
_MAX_PIXELS = 1 << 26


def read_png(path: Path) -> npt.NDArray[np.uint8]:
    """Read an image.

    Returns:
        `(C, H, W)` with C of 1 (grey) or 3.

    Raises:
        UsageError: It is missing, damaged or of another kind.
    """
    try:
        return _decode(path.read_bytes())
    except (OSError, ValueError, struct.error, zlib.error, IndexError) as error:
        raise UsageError(f"cannot read PNG image {str(path)!r}: {error}.") from error


def _decode(raw: bytes) -> npt.NDArray[np.uint8]:
    if raw[:8] != _SIGNATURE:
        raise ValueError("it is no PNG")
    header, palette, packed, at = b"", b"", b"", 8
    while at < len(raw):
        size, kind = struct.unpack(">I4s", raw[at : at + 8])
        body = raw[at + 8 : at + 8 + size]
        (crc,) = struct.unpack(">I", raw[at + 8 + size : at + 12 + size])
        if crc != zlib.crc32(kind + body):
            raise ValueError("a checksum is wrong")
        header = body if kind == b"IHDR" else header
        palette = body if kind == b"PLTE" else palette
        packed += body if kind == b"IDAT" else b""
        at += 12 + size
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if depth != 8 or colour not in _SAMPLES or interlaced:
        raise ValueError("accepted are 8 bits a sample, not interlaced")
    if not 0 < width * height <= _MAX_PIXELS:
        raise ValueError(f"it is {width} x {height} pixels")
    samples = _SAMPLES[colour]
    expected = height * (1 + width * samples)
    inflate = zlib.decompressobj()
    data = inflate.decompress(packed, expected + 1)
    if len(data) != expected:
        raise ValueError("its pixels are of another number than its header says")
    rows = np.frombuffer(data, np.uint8).reshape(height, 1 + width * samples)
    pixels = _unfilter(rows[:, 0], rows[:, 1:], samples).reshape(height, width, samples)
    if colour == 3:
        colours = np.frombuffer(palette, np.uint8).reshape(-1, 3)
        pixels = colours[pixels[:, :, 0]]
    elif colour in (4, 6):
        pixels = pixels[:, :, : samples - 1]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _unfilter(
    kinds: npt.NDArray[np.uint8], rows: npt.NDArray[np.uint8], samples: int
) -> npt.NDArray[np.uint8]:
    """Undo each row's prediction from the pixel to the left (a), above (b) and between (c)."""
    out = np.zeros_like(rows)
    above = [0] * rows.shape[1]
    for y, (kind, row) in enumerate(zip(kinds.tolist(), rows.tolist(), strict=True)):
        line: list[int] = []
        for x, value in enumerate(row):
            a = line[x - samples] if x >= samples else 0
            b, c = above[x], above[x - samples] if x >= samples else 0
            line.append((value + _predict(kind, a, b, c)) & 255)
        out[y], above = line, line
    return out


def _predict(kind: int, a: int, b: int, c: int) -> int:
    if kind == 4:  # Paeth
        near = [abs(b - c), abs(a - c), abs(a + b - 2 * c)]
        return (a, b, c)[near.index(min(near))]
    if kind > 4:
        raise ValueError(f"unknown filter {kind}")
    return (0, a, b, (a + b) // 2)[kind]
