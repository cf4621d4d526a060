"""A run that is killed at any moment and resumed ends with the bytes of one that never stopped."""

import dataclasses
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fedtiny.federated.config import TrainConfig

SCRIPT = """
import json, sys
from pathlib import Path

import torch

from fedtiny.federated.config import TrainConfig
from fedtiny.federated.training import train


def observe(module, batches):
    x = torch.cat(list(batches))
    return {"input": (float(x.min()), float(x.max()))}


if __name__ == "__main__":
    sys.stdout.write("ready\\n")
    sys.stdout.flush()
    options = json.loads(sys.argv[1])
    resume = sys.argv[3] == "resume"
    train(TrainConfig(**options), Path(sys.argv[2]), resume=resume, observe="__main__:observe")
"""


def config(folder: Path) -> TrainConfig:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (90, 8, 8), np.uint8)
    np.savez(folder / "data.npz", x=x, y=np.arange(90) % 3)
    return TrainConfig(
        str(folder / "data.npz"),
        "resnet8-stride2",
        density=0.2,
        clients=3,
        alpha=None,
        rounds=8,
        local_epochs=1,
        batch=8,
        pretrain_epochs=1,
        adjust_every=2,
        adjust_until=8,
        workers=0,
    )


def start(folder: Path, out: Path, how: str) -> subprocess.Popen[str]:
    """Start a run and wait until it has imported everything."""
    options = json.dumps(dataclasses.asdict(config(folder)))
    command = [sys.executable, str(folder / "script.py"), options, str(out), how]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
@pytest.mark.timeout(600)
def test_killed_runs_resume_to_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    began = time.monotonic()
    assert start(tmp_path, tmp_path / "whole", "new").wait() == 0
    seconds = time.monotonic() - began
    rng, out, kills, how = np.random.default_rng(2), tmp_path / "out", 0, "new"
    for attempt in range(30):
        process = start(tmp_path, out, how)
        try:
            wait = 0.05 if attempt == 0 else float(rng.uniform(0.05, 0.8)) * seconds
            process.wait(wait if kills < 4 else None)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            how = "resume" if (out / "checkpoints").is_dir() else "new"
            continue
        assert process.returncode == 0
        break
    assert kills >= 2
    for name in ("model.safetensors", "run.json"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(p.name for p in out.rglob("*") if p.name.startswith(".")) == []
