"""JSON and TOML from files that anybody may have made or damaged.

Every failure is a `ValueError` that says what is wrong, deep nesting included.
"""

from __future__ import annotations

import json
import textwrap
import tomllib
from pathlib import Path
from typing import Any


def reason(error: Exception) -> str:
    """What a library says of a damaged file, as one short printable line: it may quote the file."""
    text = "".join(c if c.isprintable() else " " for c in str(error))
    return textwrap.shorten(text, 200, placeholder=" ...") or type(error).__name__


def parse_json(text: str | bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: It is no JSON, no UTF-8, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise _no_utf8(error) from None


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        OSError: It cannot be read.
        ValueError: As `parse_json`.
    """
    return parse_json(path.read_bytes())


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no TOML, no UTF-8, or nested too deeply.
    """
    try:
        return tomllib.loads(path.read_bytes().decode())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise _no_utf8(error) from None


def _no_utf8(error: UnicodeDecodeError) -> ValueError:
    return ValueError(f"byte {error.start} is not UTF-8")
