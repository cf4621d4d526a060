"""Output that is complete or absent: written beside its place, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedtiny.errors import UsageError


def _beside(path: Path) -> Path:
    """The existing parent folder of an output, made if need be.

    Raises:
        UsageError: It cannot be made or written.
    """
    parent = path.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot create folder {str(parent)!r}: {error.strerror}.") from error
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write below {str(parent)!r}: permission denied.")
    return parent


@contextmanager
def new_directory(path: Path, marker: str) -> Iterator[Path]:
    """Make a folder that appears under its name only when the block ends without an error.

    An earlier folder of ours (one that holds the file `marker`) is replaced; an empty folder too.

    Args:
        path: The final place.
        marker: Name of a file that every folder of this kind holds.

    Yields:
        The temporary folder to write to.

    Raises:
        UsageError: The place cannot be written, or holds something that is not ours.
    """
    parent = _beside(path)
    check_replaceable(path, marker)
    try:
        work = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=parent))
    except OSError as error:
        raise UsageError(f"cannot write below {str(parent)!r}: {error.strerror}.") from error
    try:
        work.chmod(0o777 & ~_umask())
        yield work
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=parent))
            path.replace(old)
            work.replace(path)
            shutil.rmtree(old)
        else:
            work.replace(path)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def check_replaceable(path: Path, marker: str) -> None:
    """Refuse, before any work is done, a place that holds something that is not ours.

    Raises:
        UsageError: It is a file, or a folder that is neither empty nor ours.
    """
    _beside(path)
    if path.exists() and not path.is_dir():
        raise UsageError(f"output {str(path)!r} is a file; give a folder.")
    if path.is_dir() and any(path.iterdir()) and not (path / marker).is_file():
        raise UsageError(
            f"output folder {str(path)!r} holds other files (no {marker}); "
            "choose a new or an empty folder."
        )


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Make a file that appears under its name only when the block ends without an error.

    Raises:
        UsageError: The place cannot be written.
    """
    parent = _beside(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=parent)
    except OSError as error:
        raise UsageError(f"cannot write below {str(parent)!r}: {error.strerror}.") from error
    os.close(handle)
    work = Path(name)
    try:
        work.chmod(0o666 & ~_umask())
        yield work
        work.replace(path)
    except BaseException:
        work.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
