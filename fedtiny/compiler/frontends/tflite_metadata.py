"""What our TFLite files say of themselves: a JSON object in a metadata entry.

Keys: `nodes`, names of layers by the name of the tensor that they make, where the two differ (its
operators have no names); and `tolerance_lsb`, for those who verify a file.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fedtiny.compiler.frontends.tflite_flatbuffer import Table
from fedtiny.reading import parse_json

METADATA = "fedtiny"
"""Name of the entry."""
NODES = "nodes"


def read_metadata(model: Table) -> dict[str, Any]:
    """The object; empty where a file has none, or one that cannot be read.

    Args:
        model: The file's root table.
    """
    buffers = model.tables(4)
    for entry in model.tables(6):
        index = int(entry.number(1, "I"))
        if entry.text(0) != METADATA or index >= len(buffers):
            continue
        data = buffers[index].array(0, np.uint8)
        try:
            content = parse_json(b"{}" if data is None else data.tobytes())
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}
    return {}


def node_names(model: Table) -> dict[str, str]:
    """Layers' names by the name of the tensor that they make, where the two differ."""
    found = read_metadata(model).get(NODES)
    if not isinstance(found, dict):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str) and v and v.isprintable()}
