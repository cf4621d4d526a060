"""C99: the model, the runtime sources that it uses, and an example."""

from __future__ import annotations

from pathlib import Path

from fedtiny.exporters import c
from fedtiny.exporters.format import Format, Request


def refusal(request: Request) -> str | None:
    """Refuse weights that the runtime has no kernels for."""
    if request.dtype == "float16":
        return "the C runtime has no float16 weights; use --dtype float32 or int8"
    return None


def write(request: Request, folder: Path) -> None:
    """Write the folder `c/`."""
    c.write(request.plan, folder, request.io)


FORMAT = Format({"c": "c"}, refusal, write)
