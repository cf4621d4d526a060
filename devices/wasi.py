"""A WASI program with this process's standard streams: `python -m fedtiny.devices.wasi FILE`."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def main() -> None:
    """Run the program named on the command line."""
    wasmtime: Any = importlib.import_module("wasmtime")
    engine = wasmtime.Engine()
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    store = wasmtime.Store(engine)
    streams = wasmtime.WasiConfig()
    streams.inherit_stdin()
    streams.inherit_stdout()
    streams.inherit_stderr()
    store.set_wasi(streams)
    module = wasmtime.Module.from_file(engine, sys.argv[1])
    linker.instantiate(store, module).exports(store)["_start"](store)


if __name__ == "__main__":
    main()
