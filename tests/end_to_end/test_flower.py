"""Flower's two engines end with the files of the local engine, byte for byte."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedtiny.federated.config import TrainConfig
from fedtiny.federated.training import train

if not all(importlib.util.find_spec(name) for name in ("flwr", "ray")):
    pytest.skip("Flower is not installed (extra `flower`)", allow_module_level=True)

APP = Path(__file__).parents[2] / "examples" / "flower"
FILES = ("model.safetensors", "run.json")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    y = np.arange(200) % 3
    row, column = np.indices((10, 10))
    kinds = np.stack([np.sin(row), np.sin(column), np.sin(row + column)])
    x = 128 + 60 * kinds[y] + rng.normal(0, 40, (200, 10, 10))
    path = tmp_path_factory.mktemp("data") / "stripes.npz"
    np.savez(path, x=x.clip(0, 255).astype(np.uint8), y=y)
    return path


def config(data: Path, method: str, **more: int) -> TrainConfig:
    return TrainConfig(
        str(data),
        "resnet8-stride2",
        density=0.2,
        method=method,
        clients=2,
        alpha=None,
        rounds=2,
        local_epochs=1,
        batch=16,
        pretrain_epochs=1,
        adjust_every=1,
        adjust_until=2,
        workers=2,
        **more,  # type: ignore[arg-type]
    )


def assert_equal_runs(one: Path, other: Path) -> None:
    for name in FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.parametrize("method", ["fedtiny", pytest.param("fedavg", marks=pytest.mark.slow)])
def test_the_simulation_ends_with_the_same_files(method: str, data: Path, tmp_path: Path) -> None:
    options = config(data, method)
    train(options, tmp_path / "local")
    train(replace(options, engine="flower"), tmp_path / "flower")
    assert_equal_runs(tmp_path / "local", tmp_path / "flower")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"nothing listens on port {port}")


@contextmanager
def deployment(folder: Path, nodes: int) -> Iterator[dict[str, str]]:
    """A SuperLink and its SuperNodes on loopback sockets; gives the environment for `flwr`."""
    scripts = Path(sys.executable).parent
    home = folder / "home"
    home.mkdir()
    port = free_port()
    (home / "config.toml").write_text(
        '[superlink]\ndefault = "loopback"\n[superlink.loopback]\n'
        f'address = "127.0.0.1:{port}"\ninsecure = true\n'
    )
    env = os.environ | {
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    server = f"--insecure --port {port} --disable-runtime-dependency-installation"
    commands = [f"{scripts}/flower-superlink {server}"]
    for node in range(nodes):
        client = f"--insecure --superlink 127.0.0.1:{port} --port {free_port()}"
        commands.append(f"{scripts}/flower-supernode {client} --node-config client={node}")
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            log = (folder / f"log{len(processes)}").open("wb")
            processes.append(
                subprocess.Popen(
                    command.split(),
                    env=env,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
            if len(processes) == 1:
                wait_for_port(port)
        yield env
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("method", ["fedavg", pytest.param("fedtiny", marks=pytest.mark.slow)])
def test_a_deployment_ends_with_the_same_files(method: str, data: Path, tmp_path: Path) -> None:
    options = config(data, method)
    train(options, tmp_path / "local")
    with deployment(tmp_path, nodes=2) as env:
        told = {
            "out": tmp_path / "flower",
            "data": data,
            "model": options.model,
            "density": options.density,
            "method": method,
            "clients": 2,
            "alpha": "",
            "rounds": 2,
            "local-epochs": 1,
            "batch": 16,
            "pretrain-epochs": 1,
            "adjust-every": 1,
            "adjust-until": 2,
        }
        words = [
            f"{key}={value}" if isinstance(value, (int, float)) else f'{key}="{value}"'
            for key, value in told.items()
        ]
        flwr = str(Path(sys.executable).parent / "flwr")
        command = [flwr, "run", str(APP), "--run-config", " ".join(words)]
        subprocess.run(command, env=env, check=True, capture_output=True)
        end = time.monotonic() + 500
        while not (tmp_path / "flower" / "run.json").exists() and time.monotonic() < end:
            time.sleep(0.5)
    assert_equal_runs(tmp_path / "local", tmp_path / "flower")
