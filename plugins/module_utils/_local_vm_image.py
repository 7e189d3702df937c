# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Local VMs: the root file system that they are copied from.

Private to this collection. Needs root.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ._local_vm import CACHE_MOUNT, KEYRING, LOGIN, Site
from ._local_vm_host import install_authorities, remove_tree, run

# Left out of every package: a third of all files, which nothing but a reader would miss. Each VM is made the faster.
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/locale/*")

PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "openssh-server",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
)

# Runs once in a new root file system. Its text is part of the image's name, so that a change makes a new image.
RECIPE = rf"""
set -eu
useradd --create-home --shell /bin/bash {LOGIN}
install -d -m 700 -o {LOGIN} -g {LOGIN} /home/{LOGIN}/.ssh
echo '{LOGIN} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{LOGIN}
chmod 440 /etc/sudoers.d/{LOGIN}
rm -f /etc/ssh/ssh_host_*
cat > /etc/ssh/sshd_config.d/local-vm.conf <<'END'
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
PermitRootLogin no
# An agent may offer many keys before ours.
MaxAuthTries 20
END
echo LANG=C.UTF-8 > /etc/default/locale
# Each package that was downloaded is shared with the next VM; renamed into place, for a VM can die at any time.
cat > /usr/local/sbin/share-packages <<'END'
#!/bin/sh
cd /var/cache/apt/archives
for deb in *.deb; do
  [ ! -e "$deb" ] || [ -e "{CACHE_MOUNT}/apt/$deb" ] ||
    {{ cp "$deb" "{CACHE_MOUNT}/apt/.$deb.$$" && mv "{CACHE_MOUNT}/apt/.$deb.$$" "{CACHE_MOUNT}/apt/$deb"; }}
done
END
chmod 755 /usr/local/sbin/share-packages
cat > /etc/apt/apt.conf.d/90local-vm <<'END'
DPkg::Post-Invoke {{ "share-packages || true"; }};
APT::Keep-Downloaded-Packages "true";
END
systemctl -q enable systemd-networkd
# They would hold apt's lock against a deployment.
systemctl -q mask apt-daily.timer apt-daily-upgrade.timer
"""


def image_name(site: Site) -> str:
    """Says what went into it, so that a changed input never meets an old image."""
    inputs = "\n".join((*site.sources, *PACKAGES, *LEFT_OUT, RECIPE))
    return f"{site.suite}-{hashlib.sha256(inputs.encode()).hexdigest()[:12]}"


def image_path(site: Site) -> Path:
    return Path(site.path("images", image_name(site)))


def build_image(site: Site, bundle: str, proxies: dict[str, str]) -> None:
    """Makes the image in namespaces of its own, so that a killed build leaves neither mounts nor processes."""
    image = image_path(site)
    partial = image.with_name(image.name + ".partial")
    if partial.exists():
        remove_tree(partial)
    run(
        *("unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"),
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"),
        *("--include=" + ",".join(PACKAGES), f"--keyring={KEYRING}", "--skip=cleanup/apt/lists"),
        *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT),
        *(site.suite, str(partial), *site.sources),
        environ=proxies,
    )
    run("chroot", str(partial), "sh", "-c", RECIPE)
    install_authorities(partial, bundle)
    for old in image.parent.glob(f"{site.suite}-*"):
        if old != partial:
            remove_tree(old)
    partial.rename(image)
