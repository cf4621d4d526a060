"""Write a plan as a folder of C99: tables, weights, the runtime sources it uses, and an example.

c/model.h model.c weights.c     the model (model.h is all that an application includes)
c/fedtiny/ c/src/ c/kernels/    the runtime: headers, executor, only the kernels used
c/sources.mk                    what to compile, for makefiles
c/main.c Makefile CMakeLists.txt    an example for a PC, the library `model`
c/bare_metal/                   an image for a Cortex-M (see bare_metal.py)
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import jinja2
import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.plan import ExecutionPlan, Layer, row_count
from fedtiny.compiler.serialize import C_TYPES, FEED_ENTRY, AccessRow, Member, ModelTables, tables
from fedtiny.errors import UsageError
from fedtiny.exporters import bare_metal
from fedtiny.files import new_directory
from fedtiny.runtime import table

Io = Literal["int8", "float32"]

LINE = 100
"""Columns of a line."""
LARGE_BYTES = 1 << 18
"""Arrays from this size on are printed as strings, not numbers: GCC takes 1.3 us and 57 bytes of
memory for each number, which is minutes and gigabytes for networks of the size of ResNet-50."""
LITERAL_BYTES = 22
"""Of a string in a line, each at most four columns."""

_MARKER = "model.h"
_TEMPLATES = (
    "model.h",
    "model.c",
    "weights.c",
    "main.c",
    "sources.mk",
    "Makefile",
    "CMakeLists.txt",
)
_HEADERS = ("fedtiny.h", "kernels.h")
_PARTS = "fedtiny/parts.h"
_EXECUTOR = ("src/run.c", "src/memory.c")


@dataclass(frozen=True)
class _Port:
    """An input or output as the application sees it.

    Attributes:
        name: The tensor's name.
        shape: Its shape.
        rows: Its rows.
        size: Its elements.
        c_type: The element type that the application gives or gets.
        bytes: Size in that type.
        offset: Where it starts when several tensors follow each other.
        scale: C literal; empty where the application's numbers are real or have no scale.
        zero_point: 0 without a scale.
        converted: The model itself computes in int8 and the application in float.
        real_scale: C literal of a converted tensor's own scale.
        real_zero_point: Of a converted tensor.
    """

    name: str
    shape: tuple[int, ...]
    rows: int
    size: int
    c_type: str
    bytes: int
    offset: int
    scale: str
    zero_point: int
    converted: bool
    real_scale: str
    real_zero_point: int


@dataclass(frozen=True)
class _LayerLine:
    """A layer as `MODEL_LAYER_LIST` shows it."""

    name: str
    kernel: str
    c_type: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class _MemberText:
    """A member of the constants struct, ready to print; `count` is None for a struct."""

    name: str
    c_type: str
    count: int | None
    offset: int
    comment: str
    fields: tuple[tuple[str, str], ...]
    text: str
    literal: bool


def write(plan: ExecutionPlan, directory: Path, io: Io | None = None) -> Path:
    """Write `directory/c`; it is complete or absent, and equal plans give equal bytes.

    Args:
        plan: The plan.
        directory: The export folder.
        io: What the application exchanges with the model. `"float32"` adds conversions to an int8
            model; None is the model's own type.

    Returns:
        The folder `directory/c`.

    Raises:
        UsageError: The folder cannot be written, or the model has no such inputs and outputs.
    """
    model = tables(plan)
    values = _values(plan, model, io)
    sources = _runtime_sources(plan)
    folder = Path(directory) / "c"
    with new_directory(folder, _MARKER) as work:
        texts = {name: _rendered(name, values) for name in _TEMPLATES}
        if bare_metal.has(plan.target):
            texts |= bare_metal.texts(
                plan.target, lambda name, more: _rendered(name, values | more)
            )
        for name, text in texts.items():
            (work / name).parent.mkdir(exist_ok=True)
            (work / name).write_text(text, "utf-8", newline="\n")
        for name, source in sources.items():
            target = work / name
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, target)
        used = frozenset().union(*(layer.packed.parts for layer in plan.layers))
        (work / _PARTS).write_text(table.parts_header(used), "utf-8", newline="\n")
    return folder


def _rendered(name: str, values: dict[str, Any]) -> str:
    return _environment().get_template(f"{name}.jinja").render(values)


def _values(plan: ExecutionPlan, model: ModelTables, io: Io | None) -> dict[str, Any]:
    """What the templates print."""
    inputs, outputs = _ports(plan, plan.graph.inputs, io), _ports(plan, plan.graph.outputs, io)
    machine = plan.target.gcc[1:] if plan.target.family == "c" else ()
    runtime = _runtime_sources(plan)
    compiled = [name for name in runtime if name.endswith((".c", ".S"))]
    return {
        "name": plan.graph.name,
        "target": plan.target.name,
        "schedule": plan.schedule,
        "fed": plan.fed,
        "tables": model,
        "layers": [_layer_line(plan, layer) for layer in plan.layers],
        "inputs": inputs,
        "outputs": outputs,
        "quantizes": any(port.converted for port in inputs),
        "dequantizes": any(port.converted for port in outputs),
        "program": [_entry(entry) for entry in model.program],
        "members": [_member(member) for member in model.members],
        "size": len(model.constants),
        "alignment": model.constants_alignment,
        "sources": ["model.c", "weights.c", *compiled],
        "machine": "".join(f"{flag} " for flag in machine),
        "headers": sorted({*runtime, _PARTS} - set(compiled)),
        "bare_metal": bare_metal.has(plan.target),
        "assembly": any(name.endswith(".S") for name in compiled),
    }


def _ports(plan: ExecutionPlan, names: Iterable[str], io: Io | None) -> list[_Port]:
    ports: list[_Port] = []
    offset = 0
    for name in names:
        tensor = plan.graph[name]
        dtype = io or tensor.dtype
        if dtype != tensor.dtype and (tensor.dtype, dtype) != ("int8", "float32"):
            raise UsageError(
                f"tensor {name!r} is {tensor.dtype}: its input/output type cannot be {dtype}."
            )
        converted = dtype != tensor.dtype
        quantization = tensor.quantization
        if converted and quantization is None:
            raise UsageError(f"tensor {name!r} has no scale: it cannot be exchanged as float32.")
        scale = c_float(np.float32(quantization.scale)) if quantization else ""
        zero_point = int(quantization.zero_point) if quantization else 0
        size = tensor.size * np.dtype(dtype).itemsize
        ports.append(
            _Port(
                name=name,
                shape=tensor.shape,
                rows=row_count(tensor),
                size=tensor.size,
                c_type=C_TYPES[dtype],
                bytes=size,
                offset=offset,
                scale="" if converted else scale,
                zero_point=0 if converted else zero_point,
                converted=converted,
                real_scale=scale,
                real_zero_point=zero_point,
            )
        )
        offset += size
    return ports


def _layer_line(plan: ExecutionPlan, layer: Layer) -> _LayerLine:
    tensor = plan.graph[layer.node.output]
    return _LayerLine(layer.name, layer.kernel.name, C_TYPES[tensor.dtype], tensor.shape)


def _entry(entry: int) -> str:
    if entry == FEED_ENTRY:
        return "FEED"
    return f"RUN({entry & 0x3FF}, {(entry >> 10) + 1})"


def _member(member: Member) -> _MemberText:
    fields = []
    for name, value in (member.values or {}).items():
        target = (member.targets or {}).get(name)
        text = f"AT({target})" if target else _number(value)
        fields.append((name, "FEDTINY_ABSENT" if text == str(0xFFFFFFFF) else text))
    text, count, c_type = "", None, member.c_type
    literal = member.array is not None and member.array.nbytes >= LARGE_BYTES
    if member.array is not None and literal:
        text, count, c_type = _literal(member.array), member.array.nbytes, C_TYPES["uint8"]
    elif member.array is not None:
        number = c_float if member.array.dtype == np.float32 else _number
        values = member.array if member.array.dtype == np.float32 else member.array.tolist()
        text, count = wrapped(map(number, values), 8), member.array.size
    elif member.values is None:
        count = member.size_bytes
    name = member.name or f"padding_{member.offset}"
    return _MemberText(
        name, c_type, count, member.offset, member.comment, tuple(fields), text, literal
    )


def _literal(array: NDArray[np.generic]) -> str:
    """An array's little-endian bytes as lines of a C string."""
    data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    lines = (data[at : at + LITERAL_BYTES] for at in range(0, len(data), LITERAL_BYTES))
    return "\n".join(f'        "{line.decode("latin-1").translate(_ESCAPES)}"' for line in lines)


def _number(value: int | float) -> str:
    if isinstance(value, float):
        return c_float(np.float32(value))
    return "(-2147483647 - 1)" if value == -(2**31) else str(value)


def c_float(value: np.float32) -> str:
    """The shortest C literal that reads back as the same float."""
    plain = np.format_float_positional(value, unique=True, trim="0")
    scientific = np.format_float_scientific(value, unique=True, trim="-")
    text = plain if len(plain) <= len(scientific) else scientific
    return f"{text}f"


_PLAIN = set(range(32, 127)) - set(b'"\\?')
_ESCAPES = {b: chr(b) if b in _PLAIN else f"\\{b:03o}" for b in range(256)}


def c_string(text: str) -> str:
    """A C string literal of the text's UTF-8 bytes."""
    return f'"{text.encode().decode("latin-1").translate(_ESCAPES)}"'


def c_comment(text: str) -> str:
    """Text that can stand inside a comment."""
    printable = "".join(c if " " <= c <= "~" else "?" for c in text)
    return printable.replace("*/", "* /").replace("/*", "/ *")


def wrapped(items: Iterable[object], indent: int = 4) -> str:
    """Numbers with commas, in lines of at most `LINE` columns."""
    lines, line = [], " " * (indent - 1)
    for item in items:
        text = f" {item},"
        if len(line) + len(text) > LINE:
            lines.append(line)
            line = " " * (indent - 1)
        line += text
    return "\n".join([*lines, line])


def _access(access: AccessRow) -> str:
    return f"{{{access.tensor}, {access.window}, {access.advance}, {access.start}}}"


def _braces(values: Iterable[object]) -> str:
    return "{" + ", ".join(map(str, values)) + "}"


@cache
def _environment() -> jinja2.Environment:
    folder = resources.files("fedtiny.exporters") / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text("utf-8")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {
        "access": _access,
        "braces": _braces,
        "c_string": c_string,
        "comment": c_comment,
        "wrap": wrapped,
    }
    return environment


def _runtime_sources(plan: ExecutionPlan) -> dict[str, Path]:
    """Files of the runtime that the model needs, by their place in the exported folder, sorted."""
    root = Path(str(resources.files("fedtiny.runtime")))
    found = {f"fedtiny/{name}": root / "include" / "fedtiny" / name for name in _HEADERS}
    waiting = [*_EXECUTOR]
    for layer in plan.layers:
        waiting += [layer.kernel.source, *layer.kernel.helpers]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = root / name
        text = found[name].read_text("utf-8")
        # Sources include headers by their place below runtime/, headers by their bare name.
        for include in re.findall(r'^#include "([^"]+)"', text, re.MULTILINE):
            beside = (Path(name).parent / include).as_posix()
            waiting += [n for n in (include, beside) if (root / n).is_file()]
    return dict(sorted(found.items()))
