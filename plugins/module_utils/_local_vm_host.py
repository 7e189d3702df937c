# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Local VMs: how the rest looks at this computer and changes it.

Private to this collection. Needs root, but for controller().
"""

from __future__ import annotations

import contextlib
import os
import platform
import pwd
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from . import _local_vm as lv
from ._local_vm import LocalVmError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def controller() -> lv.Controller:
    status = dict(line.split(":", 1) for line in read("/proc/self/status").splitlines() if ":" in line)
    limits = {kind: read(f"/proc/sys/user/max_{kind}_namespaces").strip() for kind in lv.NAMESPACES}
    commands = {tool for tool in (*lv.TOOLS, "sudo") if shutil.which(tool, path=PATH)}
    return lv.Controller(
        system=platform.system(),
        architecture=platform.machine(),
        uid=os.getuid(),
        commands=frozenset(commands | ({lv.KEYRING} if Path(lv.KEYRING).exists() else set())),
        debian=Path("/etc/debian_version").exists(),
        bounding=int(status.get("CapBnd", "f" * 16), 16),
        no_new_privileges=status.get("NoNewPrivs", "0").strip() == "1",
        namespace_limits={kind: int(limit) for kind, limit in limits.items() if limit},
    )


def under_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def run(
    *command: str, check: bool = True, timeout: float | None = None, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess:
    """Runs a command that does not outlive this process, so that none goes on while the next run repairs."""
    try:
        done = subprocess.run(
            ("setpriv", "--pdeathsig", "KILL", *command),
            check=False,
            env={**(environ or {}), "PATH": PATH, "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        done = subprocess.CompletedProcess(command, 127, "", str(error))
    if check and done.returncode:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise LocalVmError(f"{command[0]} failed ({done.returncode}): {said}")
    return done


# What systemd-nspawn ends with when its VM reboots: whoever started it is to start it again.
REBOOTED = 133
AGAIN = f'while "$@"; code=$?; [ $code = {REBOOTED} ]; do :; done; exit $code'


def detach(unit: str, script: str, *arguments: str, log: Path | None = None) -> None:
    """Starts what outlives this run: as a unit of the controller's systemd, else in a session of its own."""
    command = ["sh", "-c", script, unit, *arguments]
    if under_systemd():
        properties = ["Delegate=yes", "KillMode=mixed", "TasksMax=16384", f"RestartForceExitStatus={REBOOTED}"]
        if log:
            properties += [f"StandardOutput=append:{log}", f"StandardError=append:{log}"]
        run(
            *("systemd-run", "--quiet", "--collect", f"--unit={unit}", f"--description=Local VM: {unit}"),
            *(f"--property={one}" for one in properties),
            *(word.replace("$", "$$") for word in command),  # systemd would replace variables
        )
        return
    with open(log or os.devnull, "ab") as output:
        subprocess.Popen(
            ["sh", "-c", AGAIN, unit, *command],
            cwd="/",
            env={"PATH": PATH},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def read(path: Path | str) -> str:
    """The text of a file, or nothing if there is none (any more)."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError):
        return ""


def write(path: Path, text: str, mode: int = 0o644, owner: int = 0) -> None:
    """Replaces a file at once, so that a killed run never leaves half of it."""
    new = path.with_name(path.name + ".partial")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
    new.chmod(mode)
    give(new, owner)
    new.replace(path)


def give(path: Path, owner: int) -> None:
    os.chown(path, owner, pwd.getpwuid(owner).pw_gid)


def write_in(root: Path, name: str, text: str) -> None:
    """Writes a file of a VM, whose users may have made a link that leads out of it."""
    path = root / name
    if root.resolve() not in path.parent.resolve().parents:
        raise LocalVmError(f"{path} leads out of the VM through a link")
    write(path, text)


def remove_tree(path: Path) -> None:
    """Removes a root file system, but nothing that somebody left mounted in it."""
    points = (line.split()[1].encode().decode("unicode_escape") for line in read("/proc/self/mounts").splitlines())
    for point in sorted((point for point in points if point.startswith(f"{path}/")), reverse=True):
        run("umount", "--lazy", point)
    shutil.rmtree(path)


def authorities(root: Path, bundle: str) -> dict[str, str]:
    """Files with the certificates of a bundle that Debian does not have anyway."""
    wanted = lv.certificates(bundle)
    debian = "".join(map(read, (root / "usr/share/ca-certificates/mozilla").glob("*.crt")))
    extra = sorted(set(wanted) - set(lv.certificates(debian)))
    return {f"{lv.CA_DIRECTORY}/local-vm-{key[:16]}.crt": wanted[key] for key in extra}


def stale_authorities(root: Path, bundle: str) -> list[str]:
    """CAs that a root file system does not trust yet, and those that are no longer in the bundle."""
    wanted, trusted = authorities(root, bundle), read(root / "etc/ssl/certs/ca-certificates.crt")
    there = {str(path.relative_to(root)) for path in (root / lv.CA_DIRECTORY).glob("local-vm-*.crt")}
    return [name for name, text in wanted.items() if text not in trusted] + sorted(there - set(wanted))


def install_authorities(root: Path, bundle: str) -> None:
    wanted, stale = authorities(root, bundle), stale_authorities(root, bundle)
    for name in stale:
        if name in wanted:
            write_in(root, name, wanted[name])
        else:
            (root / name).unlink()
    if stale:
        run("chroot", str(root), "update-ca-certificates")


def processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def command_line(pid: int) -> list[str]:
    return read(f"/proc/{pid}/cmdline").split("\0")[:-1]


def listeners() -> dict[int, set[str]]:
    """Ports on which something listens that can be reached at 127.0.0.1, with the sockets' inodes."""
    found: dict[int, set[str]] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read(table).splitlines()[1:]:
            words = line.split()
            address, port = words[1].split(":")
            if words[3] == "0A" and (address == "0100007F" or not address.strip("0")):
                found.setdefault(int(port, 16), set()).add(words[9])
    return found


def sockets(pid: int) -> set[str]:
    """Inodes of a process's sockets."""
    found = set()
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(os.readlink(descriptor))
    return {target[8:-1] for target in found if target.startswith("socket:[")}


def forwarders() -> list[tuple[int, int, str, int]]:
    """Live forwarders as (PID, port here, address there, port there)."""
    ports = {inode: port for port, inodes in listeners().items() for inode in inodes}
    found = []
    for pid in processes():
        words = command_line(pid)
        if words and words[0].rpartition("/")[2] in ("systemd-socket-activate", "systemd-socket-proxyd"):
            address, _colon, port = words[-1].rpartition(":")
            found += [(pid, ports[inode], address, int(port)) for inode in sockets(pid) if inode in ports]
    return found


def foreign(port: int) -> str:
    """Who has a port."""
    inodes = listeners().get(port, set())
    holders = (pid for pid in processes() if inodes & sockets(pid))
    pid = next(holders, 0)
    return f"process {pid} ({shlex.join(command_line(pid))})" if pid else "another process"


def end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    until(lambda: not Path(f"/proc/{pid}/fd/0").is_symlink(), 5)
