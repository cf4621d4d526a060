"""The errors a user can meet, each with the exit code that the command line gives it.

Every error is one clear sentence: what was wrong, where, and what is accepted.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FedTinyError(Exception):
    """Base of every error that is not a defect of FedTiny itself."""

    exit_code = 1


class UsageError(FedTinyError):
    """Bad usage or bad input: a missing or damaged file, an unknown name, a wrong shape."""

    exit_code = 2


class UnsupportedError(UsageError):
    """A model uses something that the compiler does not support; the message names the node."""


class DoesNotFitError(FedTinyError):
    """The model exceeds a budget of the device."""

    exit_code = 3


class MismatchError(FedTinyError):
    """Outputs differ from the reference; the message names the first divergent layer."""

    exit_code = 4


class RunnerError(FedTinyError):
    """A runner or a device is not available, or failed."""

    exit_code = 5


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Make the error for a name that is not known, listing the known ones and the nearest.

    Args:
        kind: What is being named, for example ``"target"``.
        name: What the user wrote.
        known: Every accepted name.
    """
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return UsageError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(names)}.")
