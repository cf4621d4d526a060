"""Outputs are complete or absent."""

from pathlib import Path

import pytest

from fedtiny.errors import UsageError
from fedtiny.files import new_directory, new_file

pytestmark = pytest.mark.quick


def test_directory_appears_only_when_complete(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "out"
    with new_directory(place, "report.json") as work:
        (work / "report.json").write_text("1")
        assert not place.exists()
    assert (place / "report.json").read_text() == "1"
    assert [p.name for p in place.parent.iterdir()] == ["out"]


def test_failed_block_leaves_the_earlier_folder(tmp_path: Path) -> None:
    place = tmp_path / "out"
    with new_directory(place, "report.json") as work:
        (work / "report.json").write_text("1")
    with pytest.raises(KeyboardInterrupt), new_directory(place, "report.json") as work:
        (work / "report.json").write_text("2")
        raise KeyboardInterrupt
    assert (place / "report.json").read_text() == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_our_folder_is_replaced_whole(tmp_path: Path) -> None:
    place = tmp_path / "out"
    for name in ("old", "new"):
        with new_directory(place, "report.json") as work:
            (work / "report.json").write_text(name)
            (work / name).touch()
    assert sorted(p.name for p in place.iterdir()) == ["new", "report.json"]


def test_foreign_folder_and_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.png").touch()
    with (
        pytest.raises(UsageError, match="holds other files"),
        new_directory(tmp_path / "photos", "report.json"),
    ):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"), new_directory(tmp_path / "file", "x"):
        pass
    with (
        pytest.raises(UsageError, match="cannot create folder"),
        new_directory(tmp_path / "file" / "out", "x"),
    ):
        pass
    assert (tmp_path / "photos" / "me.png").exists()


def test_file_is_complete_or_absent(tmp_path: Path) -> None:
    place = tmp_path / "f"
    with pytest.raises(ZeroDivisionError), new_file(place) as work:
        work.write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with new_file(place) as work:
        work.write_text("whole")
    assert place.read_text() == "whole"
