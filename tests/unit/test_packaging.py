"""The wheel holds every file of the package, and runs from where it is installed."""

import configparser
import functools
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"fedtiny": "fedtiny"} | {
    name: f"fedtiny/{name}" for name in ("runtime", "exporters", "devices")
}
"""Folders of the tree that are packaged, and where they land."""


@functools.cache
def tree_files():
    """Every file of the packaged folders that runs: no links, no documentation."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *FOLDERS]
    if (ROOT / ".git").exists() and shutil.which("git"):
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        found = [Path(line) for line in listing.stdout.splitlines()]
    else:
        found = [p.relative_to(ROOT) for name in FOLDERS for p in (ROOT / name).rglob("*")]
        found = [p for p in found if "__pycache__" not in p.parts]
    found = [p for p in found if p.suffix != ".md" and not (ROOT / p).is_symlink()]
    return [p for p in found if (ROOT / p).is_file()]


def landed(path):
    """Where a file of the tree lies in the wheel."""
    return f"{FOLDERS[path.parts[0]]}/{Path(*path.parts[1:]).as_posix()}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy so that the tree stays clean."""
    copy = tmp_path_factory.mktemp("tree")
    for path in [
        *tree_files(),
        *map(Path, ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")),
    ]:
        target = copy / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, target)
    for name in ("runtime", "exporters", "devices"):
        (copy / "fedtiny" / name).symlink_to(f"../{name}")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        copy / "dist",
    ]
    result = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.mark.quick
def test_the_package_list_is_the_tree():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    listed = parser["options"]["packages"].split()
    found = sorted(
        landed(path).removesuffix("/__init__.py").replace("/", ".")
        for path in tree_files()
        if path.name == "__init__.py"
    )
    assert sorted(listed) == found
    for path in tree_files():
        if path.suffix == ".py":
            folder = Path(landed(path)).parent.as_posix().replace("/", ".")
            assert folder in listed, f"{path} lies in no listed package"


def test_the_wheel_holds_the_tree_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        names = archive.namelist()
    assert inside == {landed(path) for path in tree_files()}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_runs_where_it_is_installed(wheel, tmp_path):
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, "--target", target, wheel], check=True, timeout=120)
    environment = os.environ | {"PYTHONPATH": str(target)}

    def run(*words):
        return subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )

    where = run(sys.executable, "-c", "import fedtiny.devices; print(fedtiny.devices.__file__)")
    assert where.stdout.startswith(str(target))
    for name in ("fedtiny", "fedtiny-export"):
        result = run(target / "bin" / name, "--help")
        assert result.returncode == 0, result.stderr
        assert "--json" in result.stdout
    result = run(sys.executable, "-m", "fedtiny", "devices", "show", "nucleo-l4r5zi")
    assert result.returncode == 0, result.stderr
    assert "120,000,000" in result.stdout
    page = "from fedtiny.report.html import _template; print(_template('base.html.jinja'))"
    assert "</html>" in run(sys.executable, "-c", page).stdout
