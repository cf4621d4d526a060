"""The kernels of libfedtiny: `python -m fedtiny.runtime.library.listing` writes two headers.

`kernel_list.h` names every kernel that runs on a processor with an operating system;
`avx2_names.h` gives other names to what is compiled a second time, with AVX2 and FMA.
"""

from __future__ import annotations

from pathlib import Path

from fedtiny.runtime import table
from fedtiny.runtime.contract import Kernel

FOLDER = Path(__file__).parent
VECTORS = frozenset({"simd", "neon", "aarch64", "avx2", "dotprod"})
"""Features that plain C stands in for where a processor lacks them."""
HELPERS = (
    "planes_begin",
    "planes_end",
    "planes_from_pixels",
    "planes_conv_f32",
    "planes_conv_s8",
    "planes_pairs_s8",
)
"""Functions that vector kernels share, without their prefix; the linker finds a missing one."""

_TOP = """\
/* {text}. Generated from kernels.toml by
 * `python -m fedtiny.runtime.library.listing`; do not edit. */
"""


def kernels() -> tuple[tuple[Kernel, ...], tuple[Kernel, ...]]:
    """The library's kernels without and with vectors, each in the order of the table."""
    usable = [kernel for kernel in table.kernels() if VECTORS.issuperset(kernel.isa)]
    scalar = tuple(kernel for kernel in usable if not kernel.isa)
    return scalar, tuple(kernel for kernel in usable if kernel.isa)


def kernel_list() -> str:
    """The text of `kernel_list.h`."""
    parts = [
        _TOP.format(
            text="Kernels of the library: X(name, parameter struct, offset words, needs dot)"
        )
    ]
    parts.append("#ifndef FEDTINY_KERNEL_LIST_H\n#define FEDTINY_KERNEL_LIST_H\n")
    parts.append('#include "fedtiny/kernels.h"\n')
    for what, found in zip(("SCALAR", "VECTOR"), kernels(), strict=True):
        lines = [f"#define FEDTINY_{what}_KERNEL_LIST(X)"]
        lines += [
            f"    X({k.name}, {k.params}, 0x{_offset_words(k):x}u, {int('dotprod' in k.isa)})"
            for k in found
        ]
        parts.append(" \\\n".join(lines) + "\n")
    parts.append("#endif\n")
    return "\n".join(parts)


def avx2_names() -> str:
    """The text of `avx2_names.h`."""
    names = [f"fedtiny_{name}" for name in HELPERS] + [k.symbol for k in kernels()[1]]
    lines = [f"#define {name} {name}_avx2" for name in names]
    return "\n".join((_TOP.format(text="Names of what is compiled with AVX2").rstrip(), *lines, ""))


def _offset_words(kernel: Kernel) -> int:
    """Bit i is set where word i of a kernel's parameters is an offset."""
    fields = table.param_struct(kernel.params).fields
    assert fields is not None
    return sum(1 << fields[name][1] // 4 for name in table.offset_fields(kernel.params))


def main() -> None:
    """Write the headers beside this file."""
    (FOLDER / "kernel_list.h").write_text(kernel_list(), "utf-8")
    (FOLDER / "avx2_names.h").write_text(avx2_names(), "utf-8")


if __name__ == "__main__":
    main()
