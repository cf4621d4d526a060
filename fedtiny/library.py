"""libfedtiny from Python: packed models, arrays in and arrays out, through the library's C ABI."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedtiny.devices.cache import cache_folder
from fedtiny.errors import RunnerError, UsageError
from fedtiny.runtime import build

Array = NDArray[np.generic]

VARIABLE = "FEDTINY_LIBRARY"
"""Environment variable: an installed libfedtiny.so to use in place of one that is built here."""

PORTABLE = 1
ABI_MAJOR = 1
RESULT_MODEL, RESULT_FILE, RESULT_VERSION, RESULT_KERNEL = 5, 6, 8, 9

_DTYPES = {1: "int8", 2: "float32"}
_HANDLE = ctypes.c_void_p
_TIMER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64)


class Info(ctypes.Structure):
    """`fedtiny_tensor_info`."""

    _fields_ = (
        ("struct_bytes", ctypes.c_size_t),
        ("name", ctypes.c_char_p),
        ("kernel", ctypes.c_char_p),
        ("bytes", ctypes.c_size_t),
        ("type", ctypes.c_int32),
        ("scale", ctypes.c_float),
        ("zero_point", ctypes.c_int32),
        ("dimensions", ctypes.c_uint32),
        ("shape", ctypes.c_uint32 * 8),
    )

    @property
    def dtype(self) -> str:
        """As numpy names it."""
        return _DTYPES[self.type]

    @property
    def dims(self) -> tuple[int, ...]:
        """The shape, with batch size 1."""
        return tuple(self.shape[: self.dimensions])

    @property
    def text(self) -> str:
        """The name."""
        return bytes(self.name).decode(errors="replace")


class Network:
    """A packed model, loaded.

    Attributes:
        inputs: Of the model.
        outputs: Of the model.
        layers: The output of every layer, in order.
        arena_bytes: Memory that an inference writes.
    """

    def __init__(self, source: Path | bytes, portable: bool = False) -> None:
        """Load a file, or its bytes.

        Args:
            source: The packed model.
            portable: Take plain C where the processor has vectors.

        Raises:
            UsageError: The file is missing or damaged, or the library cannot run it.
            RunnerError: The library cannot be built or is of another version.
        """
        self._library, self._handle = library(), _HANDLE()
        flags, to = PORTABLE if portable else 0, ctypes.byref(self._handle)
        if isinstance(source, bytes):
            # The library reads these bytes as long as the network lives.
            self._data = ctypes.create_string_buffer(source, len(source))
            result = self._library.fedtiny_network_create(self._data, len(source), flags, to)
        else:
            result = self._library.fedtiny_network_open(os.fsencode(source), flags, to)
        if result in (RESULT_MODEL, RESULT_FILE, RESULT_VERSION, RESULT_KERNEL):
            where = "" if isinstance(source, bytes) else f"{str(source)!r}: "
            raise UsageError(where + self._text(result))
        self._check(result)
        describe = self._library
        self.inputs = self._infos(describe.fedtiny_network_inputs, describe.fedtiny_network_input)
        self.outputs = self._infos(
            describe.fedtiny_network_outputs, describe.fedtiny_network_output
        )
        self.layers = self._infos(describe.fedtiny_network_layers, describe.fedtiny_network_layer)
        self.arena_bytes = int(self._library.fedtiny_network_arena_bytes(self._handle))
        # Small networks take microseconds: what every inference needs is made once.
        self._invoke = self._library.fedtiny_network_invoke
        self._taken = [(info.dims, np.dtype(info.dtype)) for info in self.inputs]
        self._made = [(info.dims, np.dtype(info.dtype)) for info in self.outputs]
        self._from = (ctypes.c_void_p * len(self._taken))()
        self._to = (ctypes.c_void_p * len(self._made))()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.fedtiny_network_destroy(self._handle)

    def invoke(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference.

        Args:
            inputs: With the inputs' shapes and dtypes.

        Raises:
            UsageError: An input has another shape or dtype.
            RunnerError: The library refused.
        """
        if len(inputs) != len(self._taken) or any(
            (array.shape, array.dtype) != taken
            for array, taken in zip(inputs, self._taken, strict=True)
        ):
            found = [(array.shape, array.dtype.name) for array in inputs]
            raise UsageError(f"inputs are {found}; the model takes others.")
        held = [np.ascontiguousarray(array) for array in inputs]
        results: list[Array] = [np.empty(shape, dtype) for shape, dtype in self._made]
        _point(self._from, held)
        _point(self._to, results)
        self._check(self._invoke(self._handle, self._from, self._to))
        return results

    def timed(self, inputs: Sequence[Array]) -> dict[str, int]:
        """Nanoseconds of every layer in one inference, by name."""
        spent: dict[str, int] = {}

        def keep(_context: int, layer: int, nanoseconds: int) -> None:
            spent[self.layers[layer].text] = nanoseconds

        callback = _TIMER(keep)
        self._check(self._library.fedtiny_network_set_timer(self._handle, callback, None))
        try:
            self.invoke(inputs)
        finally:
            self._library.fedtiny_network_set_timer(self._handle, _TIMER(), None)
        return spent

    def _infos(self, count: Callable[..., int], describe: Callable[..., int]) -> tuple[Info, ...]:
        found = []
        for index in range(count(self._handle)):
            info = Info(ctypes.sizeof(Info))
            self._check(describe(self._handle, index, ctypes.byref(info)))
            found.append(info)
        return tuple(found)

    def _check(self, result: int) -> None:
        if result != 0:
            raise RunnerError(f"libfedtiny: {self._text(result)}")

    def _text(self, result: int) -> str:
        text: bytes = self._library.fedtiny_result_text(result)
        return text.decode()


def _point(pointers: ctypes.Array[ctypes.c_void_p], arrays: Sequence[Array]) -> None:
    for index, array in enumerate(arrays):
        pointers[index] = array.__array_interface__["data"][0]


@cache
def library() -> ctypes.CDLL:
    """The shared library: that of `$FEDTINY_LIBRARY`, or one built from the package's sources.

    Raises:
        RunnerError: It cannot be built or loaded, or has another ABI.
    """
    path = os.environ.get(VARIABLE) or str(build_library())
    try:
        found = ctypes.CDLL(path)
        found.fedtiny_abi_version.restype = ctypes.c_uint32
    except (OSError, AttributeError) as error:
        raise RunnerError(f"cannot load libfedtiny from {path}: {error}.") from error
    major = found.fedtiny_abi_version() >> 16
    if major != ABI_MAJOR:
        raise RunnerError(f"{path} has ABI {major}; this version of FedTiny uses {ABI_MAJOR}.")
    pointer, u32, size = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_size_t
    found.fedtiny_vectors.restype = found.fedtiny_result_text.restype = ctypes.c_char_p
    found.fedtiny_network_arena_bytes.restype = size
    found.fedtiny_network_destroy.restype = None
    for name, arguments in {
        "open": (ctypes.c_char_p, u32, pointer),
        "create": (pointer, size, u32, pointer),
        "destroy": (_HANDLE,),
        **{name: (_HANDLE,) for name in ("inputs", "outputs", "layers", "arena_bytes")},
        **{name: (_HANDLE, u32, pointer) for name in ("input", "output", "layer")},
        "set_timer": (_HANDLE, _TIMER, pointer),
        "invoke": (_HANDLE, pointer, pointer),
    }.items():
        getattr(found, f"fedtiny_network_{name}").argtypes = arguments
    return found


def build_library() -> Path:
    """Build libfedtiny with its own makefile, or find it built.

    Raises:
        RunnerError: There is no make or no compiler, or it failed.
    """
    folder = build.ROOT / "library"
    compiler = build.host_compiler()
    version = subprocess.run([*compiler, "--version"], capture_output=True, check=False).stdout
    digest = hashlib.sha256(version)
    own = [
        path for path in folder.iterdir() if path.suffix in (".c", ".h") or path.stem == "Makefile"
    ]
    for path in (*build.sources(), *build.headers(), *sorted(own)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    target = cache_folder("library") / f"{digest.hexdigest()[:24]}.so"
    if target.is_file():
        return target
    make = shutil.which("make") or shutil.which("gmake")
    if make is None:
        raise RunnerError("libfedtiny is built with make, which is not installed.")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent) as work:
            command = [make, "-s", "-C", str(folder), f"BUILD={work}", f"CC={' '.join(compiler)}"]
            done = subprocess.run([*command, "-j2"], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RunnerError(f"libfedtiny did not build:\n{done.stderr.strip()}")
            (built,) = Path(work).glob("libfedtiny.so.*")
            built.replace(target)
    except OSError as error:
        raise RunnerError(f"cannot build in {target.parent}: {error.strerror}.") from error
    return target
