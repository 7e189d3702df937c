# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Directories that are delivered as releases named by their digest."""

from __future__ import annotations

import errno
import io
import os
import tarfile
from pathlib import Path
from unittest.mock import Mock

import pytest
from ansible_collections.windward.airflow.plugins.module_utils import _tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "package").mkdir(parents=True)
    (root / "dag.py").write_text("x = 1\n")
    (root / "package" / "run.sh").write_text("#!/bin/sh\n")
    (root / "package" / "run.sh").chmod(0o755)
    (root / "link.py").symlink_to("dag.py")
    return root


def test_the_digest_ignores_times_owners_and_what_is_left_out(tree: Path) -> None:
    before = _tree.digest(str(tree))
    os.utime(tree / "dag.py", (1, 1))
    (tree / "__pycache__").mkdir()
    (tree / "__pycache__" / "dag.pyc").write_text("x")
    (tree / ".git").mkdir()
    (tree / ".git" / "HEAD").write_text("x")
    (tree / "dag.pyc").write_text("x")
    (tree / "empty").mkdir()
    assert _tree.digest(str(tree)) == before and len(before) == 24


@pytest.mark.parametrize("change", ["content", "name", "mode", "link", "more"])
def test_the_digest_sees(tree: Path, change: str) -> None:
    before = _tree.digest(str(tree))
    if change == "content":
        (tree / "dag.py").write_text("x = 2\n")
    elif change == "name":
        (tree / "dag.py").rename(tree / "gad.py")
        (tree / "link.py").unlink()
        (tree / "link.py").symlink_to("dag.py")
    elif change == "mode":
        (tree / "dag.py").chmod(0o755)
    elif change == "link":
        (tree / "link.py").unlink()
        (tree / "link.py").symlink_to("package/run.sh")
    else:
        (tree / "more.txt").touch()
    assert _tree.digest(str(tree)) != before


@pytest.mark.skipif(os.getuid() != 0, reason="gives files to root")
def test_what_is_packed_arrives_the_same(tree: Path, tmp_path: Path) -> None:
    archive, target = tmp_path / "a.tar.gz", tmp_path / "arrived"
    archive.write_bytes(_tree.pack(str(tree)))
    target.mkdir()
    _tree.unpack(str(archive), str(target), 0)
    assert _tree.digest(str(target)) == _tree.digest(str(tree))
    assert (target / "package").stat().st_mode & 0o777 == 0o750
    assert (target / "dag.py").stat().st_mode & 0o777 == 0o640
    assert (target / "package" / "run.sh").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "package/../../outside", "."])
def test_links_that_leave_are_refused(tree: Path, target: str) -> None:
    (tree / "out").symlink_to(target)
    with pytest.raises(_tree.TreeError, match=f"out is a link to {target}: a link must be relative"):
        _tree.digest(str(tree))


def test_what_is_no_file_is_refused(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    with pytest.raises(_tree.TreeError, match="pipe is neither"):
        _tree.digest(str(tree))


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil"])
def test_an_archive_that_leaves_is_refused(tmp_path: Path, name: str) -> None:
    archive, target = tmp_path / "a.tar", tmp_path / "target"
    target.mkdir()
    with tarfile.open(archive, "w") as made:
        info = tarfile.TarInfo(name)
        info.size = 1
        made.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(_tree.TreeError, match="outside"):
        _tree.unpack(str(archive), str(target), 0)
    assert list(target.iterdir()) == [] and not (tmp_path / "evil").exists()


@pytest.mark.parametrize(("name", "says"), [("none", "No such file"), ("dag.py", "Not a directory")])
def test_what_is_no_directory_is_no_empty_one(tree: Path, name: str, says: str) -> None:
    with pytest.raises(_tree.TreeError, match=rf"{name} can't be read: {says}"):
        _tree.digest(str(tree / name))


def test_a_directory_that_cannot_be_read_is_not_left_out(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("package"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(_tree.TreeError, match="package can't be read: Permission denied"):
        _tree.digest(str(tree))


def test_a_tree_of_which_something_cannot_be_read_is_not_whole(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = tree.rename(tree.parent / _tree.digest(str(tree)))
    assert _tree.whole(str(named))
    monkeypatch.setattr("builtins.open", Mock(side_effect=PermissionError(13, "Permission denied")))
    assert not _tree.whole(str(named))
