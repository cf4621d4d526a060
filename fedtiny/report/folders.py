"""A folder of `fedtiny export` or of `fedtiny train`, whichever it is."""

from __future__ import annotations

from pathlib import Path

from fedtiny.errors import UsageError
from fedtiny.report.model import DeploymentReport, read_report
from fedtiny.report.run import RUN_FILE, RunRecord, read_run

REPORT_FILE = "report.json"


def record_file(folder: Path) -> Path:
    """The file that says what a folder is.

    Raises:
        UsageError: There is no such folder, or it holds neither an export nor a finished run.
    """
    for name in (REPORT_FILE, RUN_FILE):
        if (folder / name).is_file():
            return folder / name
    if not folder.is_dir():
        raise UsageError(f"folder {str(folder)!r} does not exist.")
    raise UsageError(
        f"folder {str(folder)!r} holds neither {REPORT_FILE} of `fedtiny export` nor {RUN_FILE} of "
        "a finished `fedtiny train`."
    )


def read_folder(folder: Path) -> DeploymentReport | RunRecord:
    """Read what a folder came to.

    Raises:
        UsageError: It is neither an export nor a finished run, or is damaged.
    """
    read = read_report if record_file(folder).name == REPORT_FILE else read_run
    return read(folder)
