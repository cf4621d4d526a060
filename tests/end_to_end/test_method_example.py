"""The method that docs/methods.md shows is added by one file, and trains."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from fedtiny.pruning import methods

DOCS = Path(__file__).parents[2] / "docs" / "methods.md"

SCRIPT = """
import sys
from pathlib import Path

import torch

from fedtiny.federated.config import TrainConfig
from fedtiny.federated.training import train
from fedtiny.pruning import methods


def observe(module, batches):
    x = torch.cat(list(batches))
    return {"input": (float(x.min()), float(x.max()))}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    methods.__path__.append(str(folder / "methods"))
    config = TrainConfig(
        str(folder / "data.npz"), "resnet8-stride2", 0.1, method="random-regrowth", clients=2,
        alpha=None, rounds=2, local_epochs=1, batch=8, pretrain_epochs=0, workers=0,
    )
    train(config, folder / "run", observe="__main__:observe")
"""


def test_the_example_in_the_docs_is_a_complete_method(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(example.splitlines()) <= 45
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "random_regrowth.py").write_text(example)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (60, 8, 8), np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(60) % 2)
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path)]
    subprocess.run(command, check=True, cwd=Path(methods.__file__).parents[3])
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["config"]["method"] == "random-regrowth"
    assert all(row["mask_changes"] > 0 for row in record["history"])
    assert all(abs(row["density"] - 0.1) < 1e-3 for row in record["history"])


def test_the_table_names_every_method() -> None:
    from fedtiny.pruning.load import method_names

    named = re.findall(r"^\| `([a-z-]+)` ", DOCS.read_text(), re.MULTILINE)
    assert sorted(named) == sorted(method_names())
