"""The kernel table: which kernels exist, which can run a node, and their parameter structs.

`python -m fedtiny.runtime.table` writes the headers `kernels.h` and `parts.h` of
`include/fedtiny/` from `kernels.toml`.
"""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fedtiny.compiler.ir import Graph, Node
from fedtiny.runtime.contract import Kernel, Packed, Packing

ABSENT = 0xFFFFFFFF
"""The offset of a constant that a layer does not have."""

_TYPES = {
    "u8": ("u1", "uint8_t"),
    "u16": ("<u2", "uint16_t"),
    "u32": ("<u4", "uint32_t"),
    "i8": ("i1", "int8_t"),
    "i16": ("<i2", "int16_t"),
    "i32": ("<i4", "int32_t"),
    "f32": ("<f4", "float"),
    "offset": ("<u4", "uint32_t"),
}


@cache
def _table() -> dict[str, Any]:
    text = resources.files("fedtiny.runtime").joinpath("kernels.toml").read_text("utf-8")
    return tomllib.loads(text)


@cache
def kernels() -> tuple[Kernel, ...]:
    """Every kernel, in the order of the table (references first for each op)."""
    names = {field.name for field in fields(Kernel)}
    rows = []
    for row in _table()["kernel"]:
        if unknown := row.keys() - names:
            raise ValueError(f"kernels.toml: {row.get('name')}: unknown {', '.join(unknown)}")
        row = {key: tuple(v) if isinstance(v, list) else v for key, v in row.items()}
        rows.append(Kernel(**{**row, "cost": _with_similar(row.get("cost", {}))}))
    return tuple(rows)


def _similar() -> Mapping[str, str]:
    """By set of coefficients, another that stands in where it has none of its own."""
    return cast(Mapping[str, str], _table()["similar_costs"])


def _with_similar(cost: Mapping[str, Any]) -> dict[str, Any]:
    """The sets of one row, and those that others stand in for."""
    borrowed = {name: cost[other] for name, other in _similar().items() if other in cost}
    return {**borrowed, **cost}


def kernel(name: str) -> Kernel:
    """The kernel of a name; a defect of ours when there is none."""
    return next(k for k in kernels() if k.name == name)


def packing(kernel: Kernel) -> Packing:
    """The module that packs a kernel's constants and knows its row contract."""
    module = importlib.import_module(f"fedtiny.runtime.packing.{kernel.packing}")
    return cast(Packing, module)


def candidates(node: Node, graph: Graph, target_isa: Iterable[str]) -> tuple[Kernel, ...]:
    """The kernels that can run a node on a target, in the order of the table.

    Args:
        node: Any node but a reshape, which is an alias and has no kernel.
        graph: Its graph.
        target_isa: Features of the target.
    """
    isa = set(target_isa)
    dtype = graph[node.output].dtype
    patterns = {t.pattern.kind for t in map(graph.__getitem__, node.inputs) if t.pattern}
    return tuple(
        k
        for k in kernels()
        if k.op == node.op
        and k.dtype == dtype
        and isa.issuperset(k.isa)
        and _has_layouts(k, node, graph)
        and patterns <= set(k.patterns)
        and packing(k).supports(node, graph)
    )


def _has_layouts(kernel: Kernel, node: Node, graph: Graph) -> bool:
    inputs = {graph[name].layout for name in node.inputs if graph[name].data is None}
    return inputs == {kernel.layout_in} and graph[node.output].layout == kernel.layout_out


def instructions(kernel: Kernel, node: Node, graph: Graph, cost_set: str) -> float | None:
    """Predicted instructions of one inference of a node, or None without coefficients.

    Args:
        kernel: One of the node's candidates.
        node: The node.
        graph: Its graph.
        cost_set: Name of a set of coefficients, from the target.
    """
    coefficients = kernel.cost.get(cost_set)
    if not coefficients:
        return None
    features = packing(kernel).features(node, graph)
    return float(sum(factor * features[name] for name, factor in coefficients.items()))


def executor_cost(cost_set: str) -> Mapping[str, float]:
    """Instructions of the executor by what they are spent on; empty without coefficients."""
    sets = _with_similar(_table().get("executor", {}).get("cost", {}))
    return cast(Mapping[str, float], sets.get(cost_set, {}))


@cache
def _code_sizes() -> dict[str, dict[str, dict[str, int]]]:
    text = resources.files("fedtiny.runtime").joinpath("code_sizes.toml").read_text("utf-8")
    return tomllib.loads(text)


def code(kernel: Kernel, cost_set: str) -> Mapping[str, int]:
    """Bytes of the functions that a program of a kernel holds; empty where nothing is known.

    `python -m benchmarks.code_sizes` measures them.
    """
    sizes: Mapping[str, int] = _with_similar(_code_sizes()).get(cost_set, {}).get(kernel.name, {})
    return sizes


@cache
def param_struct(name: str) -> np.dtype[np.void]:
    """A parameter struct as a little-endian numpy dtype with C's natural alignment."""
    members = _fields(name).items()
    return np.dtype([(f, _TYPES[kind][0]) for f, (kind, _) in members], align=True)


def offset_fields(name: str) -> tuple[str, ...]:
    """The fields of a parameter struct that are offsets of constants."""
    return tuple(f for f, (kind, _) in _fields(name).items() if kind == "offset")


def param_values(
    kernel: Kernel, packed: Packed, offsets: Mapping[str, int]
) -> dict[str, int | float]:
    """Every field of a layer's parameter struct, in order.

    Args:
        kernel: The layer's kernel.
        packed: What its packing made.
        offsets: By constant name, its offset into the model's constants.

    Raises:
        ValueError: The packing and the struct disagree: a defect of ours.
    """
    constants = {constant.name for constant in packed.constants}
    where = set(offset_fields(kernel.params))
    names = _fields(kernel.params).keys()
    if packed.params.keys() != names - where or not constants <= where:
        raise ValueError(f"{kernel.name}: packed fields are not those of {kernel.params}")
    return {
        f: (offsets[f] if f in constants else ABSENT) if f in where else packed.params[f]
        for f in names
    }


def encode_params(kernel: Kernel, packed: Packed, offsets: Mapping[str, int]) -> bytes:
    """A layer's parameter struct as the bytes that its kernel reads.

    Args:
        kernel: The layer's kernel.
        packed: What its packing made.
        offsets: By constant name, its offset into the model's constants.

    Raises:
        ValueError: A field is missing, unknown or does not fit its type: a defect of ours.
    """
    record: NDArray[np.void] = np.zeros((), param_struct(kernel.params))
    for field, value in param_values(kernel, packed, offsets).items():
        record[field] = value
        if isinstance(value, int) and int(record[field]) != value:
            raise ValueError(f"{kernel.name}: {field} = {value} does not fit its type")
    return record.tobytes()


def _fields(struct: str) -> dict[str, list[str]]:
    return cast(dict[str, list[str]], _table()["params"][struct])


_HEADER = """\
/* Kernels and their parameter structs. Generated from kernels.toml by
 * `python -m fedtiny.runtime.table`; do not edit. */
#ifndef FEDTINY_KERNELS_H
#define FEDTINY_KERNELS_H

#include "fedtiny.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Offset of a constant that the layer does not have. */
#define FEDTINY_ABSENT 0xFFFFFFFFu

/* A condition that must hold when this is compiled, in C99 as in C++. */
#define FEDTINY_ASSERT(condition, name) typedef char name[(condition) ? 1 : -1]
"""

_FOOTER = """
#ifdef __cplusplus
}
#endif

#endif
"""


def header() -> str:
    """The text of `kernels.h`."""
    parts = [_HEADER]
    for struct in _table()["params"]:
        parts.append(_c_struct(struct))
    parts.append("")
    parts.extend(f"fedtiny_status {k.symbol}(const fedtiny_call *call);" for k in kernels())
    return "\n".join(parts) + "\n" + _FOOTER


_PARTS = """\
/* Which parts of shared code a program has. Generated{origin}; do not edit. */
#ifndef FEDTINY_PARTS_H
#define FEDTINY_PARTS_H

{lines}

#endif
"""


def parts_header(used: Iterable[str] | None = None) -> str:
    """The text of `parts.h`.

    Args:
        used: The parts that a model's layers run; None for all.
    """
    known: dict[str, str] = _table()["parts"]
    wanted = set(known if used is None else used)
    if unknown := wanted - known.keys():
        raise ValueError(f"kernels.toml has no part {', '.join(sorted(unknown))}")
    width = max(map(len, known))
    lines = []
    for name, text in known.items():
        comment = f" /* {text} */" if text else ""
        padding = " " * (width - len(name) + 1)
        lines.append(f"#define FEDTINY_PART_{name.upper()}{padding}{int(name in wanted)}{comment}")
    origin = " from kernels.toml by\n * `python -m fedtiny.runtime.table`" if used is None else ""
    return _PARTS.format(origin=origin, lines="\n".join(lines))


def _c_struct(name: str) -> str:
    members = _fields(name).items()
    declarations = [(f"{_TYPES[kind][1]} {f};", text) for f, (kind, text) in members]
    width = max(len(declaration) for declaration, text in declarations if text)
    lines = ["typedef struct {"]
    for (_, (kind, _)), (declaration, text) in zip(members, declarations, strict=True):
        text = f"offset of {text}" if kind == "offset" else text
        lines.append(f"    {declaration:<{width}} /* {text} */" if text else f"    {declaration}")
    lines.append(f"}} fedtiny_{name}_params;")
    dtype = param_struct(name)
    last = list(_fields(name))[-1]
    offset = cast(Any, dtype.fields)[last][1]
    what = f"fedtiny_{name}_params"
    lines.append(f"FEDTINY_ASSERT(sizeof({what}) == {dtype.itemsize}, {what}_size);")
    lines.append(f"FEDTINY_ASSERT(offsetof({what}, {last}) == {offset}, {what}_last);")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the headers beside `fedtiny.h`."""
    folder = Path(__file__).parent / "include" / "fedtiny"
    (folder / "kernels.h").write_text(header(), "utf-8")
    (folder / "parts.h").write_text(parts_header(), "utf-8")


if __name__ == "__main__":
    main()
