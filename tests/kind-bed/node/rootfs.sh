#!/usr/bin/env bash
# The userland of a Kind node: Debian 12, whose systemd boots on cgroup v1, with Debian 13's containerd and etcd.
# usage: rootfs.sh OUT.tar   (bed.sh sets $bed)
set -euo pipefail
packages=(systemd systemd-sysv dbus iptables nftables conntrack iproute2 ethtool kmod mount util-linux procps jq curl
  ca-certificates e2fsprogs libseccomp2 runc containernetworking-plugins socat busybox)
debs=$(mktemp -d)
trap 'rm -rf "$debs"' EXIT
cp "${bed:?}"/debs/containerd_*.deb "$debs/containerd.deb"
cp "$bed"/debs/etcd-server_*.deb "$debs/etcd-server.deb"
# Runs in the new root file system.
cat > "$debs/finish" <<'END'
set -eu
dpkg -i --force-depends /tmp/containerd.deb
dpkg-deb -x /tmp/etcd-server.deb /tmp/etcd && mv /tmp/etcd/usr/bin/etcd /usr/local/bin/
# A node starts nothing but what this image enables later: no getty, no udev, no mounts.
cd /lib/systemd/system
rm -f /etc/systemd/system/*.wants/* multi-user.target.wants/* local-fs.target.wants/* sockets.target.wants/*udev* \
  sockets.target.wants/*initctl* basic.target.wants/* sysinit.target.wants/systemd-tmpfiles-setup.service
systemctl mask systemd-binfmt.service
rm -rf /tmp/* /var/cache/apt/* /var/lib/apt/lists/*
END
# shellcheck disable=SC2016 # mmdebstrap's shell knows $1
mmdebstrap --variant=minbase --skip=cleanup/reproducible --include="$(IFS=,; echo "${packages[*]}")" \
  --aptopt='Acquire::Languages "none"' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook="copy-in $debs/containerd.deb $debs/etcd-server.deb $debs/finish /tmp" \
  --customize-hook='chroot "$1" sh /tmp/finish' bookworm "$1"
