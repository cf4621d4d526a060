"""Bytes of code of every kernel on a target, as the planner weighs them.

    python -m benchmarks.code_sizes cortex-m4 [--write]

Each kernel is linked alone, with everything that it calls; functions that several kernels call are
counted once in a program that has them all. `--write` puts the sizes into
runtime/code_sizes.toml.
"""

from __future__ import annotations

import argparse
import tomllib
from importlib import resources
from pathlib import Path

from fedtiny.devices import kernel_core, profiles
from fedtiny.devices.profiles import Target
from fedtiny.runtime import table
from fedtiny.runtime.contract import Kernel

PATH = Path(str(resources.files("fedtiny.runtime"))) / "code_sizes.toml"

_HEADER = """\
# Bytes of the functions that kernels consist of and call, by set of cost coefficients (`cost` in
# devices/targets/*.toml), every part of shared code included. Measured with arm-none-eabi-gcc
# 12.2: `python -m benchmarks.code_sizes TARGET --write`.
"""


def measure(target: Target, kernels: tuple[Kernel, ...]) -> dict[str, dict[str, int]]:
    """By kernel, the bytes of each function that a program of it alone holds."""
    return {kernel.name: kernel_core.functions(target, kernel) for kernel in kernels}


def text(sets: dict[str, dict[str, dict[str, int]]]) -> str:
    """The file's text."""
    lines = [_HEADER]
    for name, kernels in sorted(sets.items()):
        lines.append(f"[{name}]")
        for kernel, functions in kernels.items():
            terms = ", ".join(f"{symbol} = {size}" for symbol, size in functions.items())
            lines.append(f"{kernel} = {{ {terms} }}")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("target")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    target = profiles.target(given.target)
    kernels = tuple(k for k in table.kernels() if set(k.isa) <= set(target.isa))
    found = measure(target, tuple(k for k in kernels if "chw" not in (k.layout_in, k.layout_out)))
    for kernel, functions in found.items():
        print(f"{sum(functions.values()):6,} {kernel:40} {', '.join(functions)}", flush=True)
    if given.write:
        sets = tomllib.loads(PATH.read_text("utf-8")) if PATH.is_file() else {}
        PATH.write_text(text({**sets, target.cost: found}), "utf-8")


if __name__ == "__main__":
    main()
