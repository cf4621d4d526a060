"""Open a model file of any supported kind, known by its content and not by its extension."""

from __future__ import annotations

from pathlib import Path

from fedtiny.compiler.ir import Graph
from fedtiny.errors import UsageError

KINDS = "a TFLite file, an ONNX file, a FedTiny .safetensors file, or the folder of a run"
MAX_BYTES = 1 << 31
"""Protocol buffers and flatbuffers cannot be larger."""

_RUN_MODEL = "model.safetensors"
_ONNX_TAGS = frozenset(b"\x08\x12\x1a\x22\x28\x32\x3a\x42\x72\xa2")
"""First bytes of a ModelProto: the tags of its fields."""


def open_model(path: Path) -> Graph:
    """Read a model.

    Args:
        path: See `KINDS`.

    Returns:
        Its graph, named after the file.

    Raises:
        UsageError: The file is missing, unreadable, damaged or of no supported kind.
        UnsupportedError: The model uses something that is not supported.
    """
    path = Path(path)
    if path.is_dir():
        path = path / _RUN_MODEL
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"model {str(path)!r} is larger than 2 GiB; smaller ones are read.")
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise UsageError(f"model {str(path)!r}: {reason}; accepted is {KINDS}.") from None
    if data[4:8] == b"TFL3":
        from fedtiny.compiler.frontends.tflite_file import from_tflite

        return from_tflite(data, path.stem)
    if _is_safetensors(data):
        from fedtiny.compiler.frontends.torch_module import from_sparse_model
        from fedtiny.sparse_model import SparseModel

        return from_sparse_model(SparseModel.load(path))
    if data and data[0] in _ONNX_TAGS:
        from fedtiny.compiler.frontends.onnx_file import from_onnx

        return from_onnx(data, path.stem)
    raise UsageError(f"model {str(path)!r} is not of a known kind; accepted is {KINDS}.")


def _is_safetensors(data: bytes) -> bool:
    """Whether the file begins with the length of a JSON header, and the header."""
    length = int.from_bytes(data[:8], "little")
    return data[8:9] == b"{" and 2 <= length <= len(data) - 8
