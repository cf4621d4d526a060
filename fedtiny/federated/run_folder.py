"""The folder of a run: what lies where, written complete or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedtiny.errors import UsageError
from fedtiny.files import check_replaceable, new_file

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run."""

    path: Path

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.path / "model.safetensors"

    @property
    def record(self) -> Path:
        """Options, history and results: equal runs write equal bytes."""
        return self.path / "run.json"

    @property
    def timing(self) -> Path:
        """Times and measured memory: the only file that differs between equal runs."""
        return self.path / "timing.json"

    @property
    def checkpoint(self) -> Path:
        """The last complete round."""
        return self.path / "checkpoints" / "last.safetensors"

    def check(self) -> None:
        """Refuse a place that cannot be written or holds something that is not a run.

        Raises:
            UsageError: It is such a place.
        """
        if not self.checkpoint.is_file():
            check_replaceable(self.path, self.record.name)

    def clear(self) -> None:
        """Remove an earlier run.

        Raises:
            UsageError: It cannot be removed.
        """
        try:
            for path in (self.record, self.model, self.timing, self.path / "report.html"):
                path.unlink(missing_ok=True)
            shutil.rmtree(self.checkpoint.parent, ignore_errors=True)
        except OSError as error:
            raise UsageError(
                f"cannot replace the run in {str(self.path)!r}: {error.strerror}."
            ) from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, keys in the order given.

    Raises:
        UsageError: The place cannot be written.
    """
    with new_file(path) as work:
        work.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
