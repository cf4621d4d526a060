"""The rounds of a run for other programs: a table, and TensorBoard's event files."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedtiny.errors import UsageError
from fedtiny.files import new_file

COLUMNS = (
    "round", "accuracy", "auc", "loss", "training_loss", "density", "mask_changes", "bytes_down",
    "bytes_up", "communication_bytes_of_a_client", "training_flops", "training_flops_of_a_client",
    "training_memory_bytes", "training_peak_bytes",
)  # fmt: skip
"""Keys of a round in run.json that are numbers."""


def write_csv(path: Path, rounds: Sequence[Mapping[str, Any]]) -> None:
    """Write the table, one line a round; what is not known is empty.

    Raises:
        UsageError: The place cannot be written.
    """
    with new_file(path) as work, work.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rounds)


class Events:
    """TensorBoard's view of a run: every number of every round, as it comes."""

    def __init__(self, folder: Path, after: int) -> None:
        """Open the folder.

        Args:
            folder: Of the event files; made if need be.
            after: The last round that is there already; later ones of a killed run are dropped.

        Raises:
            UsageError: No writer is installed.
        """
        if importlib.util.find_spec("tensorboardX") is None:
            raise UsageError("--tensorboard needs a writer: pip install 'fedtiny[tensorboard]'.")
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=after + 1 if after else None)

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a round, and let a reader see it."""
        for name in COLUMNS[1:]:
            if row[name] is not None:
                self._writer.add_scalar(name, row[name], row["round"])
        for layer, value in row["density_by_layer"].items():
            self._writer.add_scalar(f"density/{layer}", value, row["round"])
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
