# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Programs of known versions: which one is used, where it is had from, and what was in the archive.

Private to this collection.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import tarfile
from pathlib import Path

# As the publishers of these programs call them.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class ProgramError(Exception):
    """One sentence for the user."""


def version(said: str) -> tuple[int, ...]:
    """The first version in what a program says of itself; () if there is none."""
    found = re.search(r"\bv?(\d+)\.(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else ()


def fits(said: str, minimum: str, below: str) -> bool:
    here = version(said)
    return bool(here) and here >= version(minimum) and (not below or here < version(below))


def ask(program: str, words: list[str]) -> str:
    """What a program says of its version. One that hangs or can't start says nothing."""
    try:
        done = subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if not done.returncode else ""


def named(text: str, machine: str) -> str:
    return text.replace("{arch}", ARCHITECTURES.get(machine, machine))


def source(url: str, mirror: str) -> str:
    """Where it is downloaded. A mirror has every site below a folder of its name."""
    return f"{mirror.rstrip('/')}/{url.partition('://')[2]}" if mirror else url


def unpacked(name: str, content: bytes, sha256: str, member: str) -> bytes:
    """The program in what was downloaded."""
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise ProgramError(f"what was downloaded as {name} has the checksum {digest}, not {sha256}: it is not used")
    if not member:
        return content
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            stream = archive.extractfile(member)
            return stream.read() if stream else b""
    except (KeyError, tarfile.TarError) as error:
        raise ProgramError(f"the archive of {name} has no {member}") from error


def install(path: Path, content: bytes) -> None:
    """Under its name only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.partial")
    new.write_bytes(content)
    new.chmod(0o755)
    new.replace(path)
