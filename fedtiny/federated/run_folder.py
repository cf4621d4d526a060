"""The folder of a run: what lies where, written complete or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
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
    def history(self) -> Path:
        """The rounds so far as a table."""
        return self.path / "history.csv"

    @property
    def events(self) -> Path:
        """Folder of TensorBoard's event files, where they are wanted."""
        return self.path / "tensorboard"

    @property
    def timing(self) -> Path:
        """Times and measured memory, which differ between equal runs, as event files do."""
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
        if not self.checkpoint.is_file() and not self.before_first_checkpoint():
            check_replaceable(self.path, self.record.name)

    def before_first_checkpoint(self) -> bool:
        """Whether a run began here and was killed before it had anything to keep."""
        folder = self.checkpoint.parent
        return folder.is_dir() and not self.checkpoint.exists() and not self.record.exists()

    def begin(self) -> None:
        """Mark that a run begins, and remove what a killed one was writing.

        Raises:
            UsageError: The place cannot be written.
        """
        try:
            self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
            for file in (self.model, self.record, self.history, self.timing, self.checkpoint):
                for unfinished in file.parent.glob(f".{file.name}.*"):
                    unfinished.unlink()
        except OSError as error:
            raise UsageError(
                f"cannot write the run in {str(self.path)!r}: {error.strerror}."
            ) from error

    @contextmanager
    def empty_unless_checkpointed(self) -> Iterator[None]:
        """Leave nothing behind when the block fails before the first checkpoint."""
        try:
            yield
        except BaseException:
            if self.before_first_checkpoint():
                with suppress(OSError):
                    self.checkpoint.parent.rmdir()
                    self.path.rmdir()
            raise

    def clear(self) -> None:
        """Remove an earlier run.

        Raises:
            UsageError: It cannot be removed.
        """
        try:
            page = self.path / "report.html"
            for path in (self.record, self.model, self.history, self.timing, page):
                path.unlink(missing_ok=True)
            for folder in (self.checkpoint.parent, self.events):
                shutil.rmtree(folder, ignore_errors=True)
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
