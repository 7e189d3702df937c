# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: it may change without notice.

"""A directory as a value: its files in order, and the digest that names it on every host."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile

_LEFT_OUT = {"__pycache__", ".git", ".svn", ".hg", ".DS_Store"}


class TreeError(Exception):
    """The directory can't be delivered as it is; the message says which entry and why."""


def _unreadable(error: OSError) -> None:
    """Without this, what can't be read is left out."""
    raise TreeError(f"{error.filename} can't be read: {error.strerror}") from error


def entries(root: str) -> list[tuple[str, str]]:
    """Return (relative path, absolute path) of every file and link below ``root``, in a fixed order.

    Byte code and version control data are left out. A link must stay inside the tree.
    """
    found = []
    for folder, folders, files in os.walk(root, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in sorted(files + links):
            if name in _LEFT_OUT or name.endswith((".pyc", ".pyo")):
                continue
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, root)
            if os.path.islink(path):
                target = os.path.realpath(path)
                if os.path.isabs(os.readlink(path)) or not target.startswith(os.path.realpath(root) + os.sep):
                    raise TreeError(
                        f"{path} is a link to {os.readlink(path)}: a link must be relative and lead to something below "
                        f"{root}, put a copy in its place"
                    )
            elif not os.path.isfile(path):
                raise TreeError(f"{path} is neither a file, a directory nor a link")
            found.append((relative, path))
    return sorted(found)


def digest(root: str) -> str:
    """Return the first 24 hexadecimal digits of the tree's SHA-256: names, contents, executable bits, links."""
    total = hashlib.sha256()
    for relative, path in entries(root):
        if os.path.islink(path):
            kind, value = "link", os.readlink(path).encode()
        else:
            kind = "program" if os.stat(path).st_mode & 0o100 else "file"
            with open(path, "rb") as stream:
                value = hashlib.sha256(stream.read()).digest()
        total.update(f"{relative}\0{kind}\0".encode() + value + b"\0")
    return total.hexdigest()[:24]


def whole(path: str) -> bool:
    """Whether a directory is there, and still holds what its name is the digest of."""
    try:
        return digest(path) == os.path.basename(path)
    except (OSError, TreeError):  # also one that this user may not read
        return False


def pack(root: str) -> bytes:
    """Return the tree as a compressed archive without owners and times."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for relative, path in entries(root):
            info = archive.gettarinfo(path, relative)
            info.uid = info.gid = info.mtime = 0
            info.uname = info.gname = ""
            if info.isreg():
                with open(path, "rb") as stream:
                    archive.addfile(info, stream)
            else:
                archive.addfile(info)
    return buffer.getvalue()


def unpack(archive_path: str, root: str, gid: int) -> None:
    """Unpack an archive of :func:`pack` below ``root``, readable by group ``gid`` only and owned by whoever we are."""
    with tarfile.open(archive_path) as archive:
        for member in archive.getmembers():
            target = os.path.join(root, member.name)
            if os.path.isabs(member.name) or ".." in member.name.split("/"):
                raise TreeError(f"{member.name} would be unpacked outside of the tree")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if member.issym():
                os.symlink(member.linkname, target)
                continue
            source = archive.extractfile(member)
            if source is None:
                raise TreeError(f"{member.name} is no file")
            with source, open(target, "wb") as stream:
                stream.write(source.read())
            os.chmod(target, 0o750 if member.mode & 0o100 else 0o640)
    for folder, _folders, files in os.walk(root):
        os.chmod(folder, 0o750)
        for path in [folder] + [os.path.join(folder, name) for name in files]:
            os.chown(path, os.geteuid(), gid, follow_symlinks=False)
