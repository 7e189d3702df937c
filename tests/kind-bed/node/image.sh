#!/usr/bin/env bash
# Puts the node image together: a root file system, Kubernetes, and in its containerd the one system image from which
# every pod of Kubernetes' own runs. usage: image.sh ID   (bed.sh sets the variables)
set -euo pipefail
from=$(cd "$(dirname "$0")" && pwd) bin=${bed:?}/bin work=$bed/tmp/node version=v${kube:?}
root=$work/root sys=$work/sys local=kind-bed.local
rm -rf "$work"
mkdir -p "$root" "$sys"
tar -C "$root" -xf "$bed/img/node.tar" --exclude='./dev/*'

### The system image: a few programs with their libraries, and Kubernetes' own.
mkdir -p "$sys"/{usr/local/bin,usr/bin,usr/sbin,usr/lib,usr/lib64,tmp,etc,proc,sys,dev,run,var,root}
for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$sys/$dir"; done
# kube-proxy fails without the libraries of every iptables extension, and only when a Service has two endpoints.
# shellcheck disable=SC2016 # that shell's variables
chroot "$root" bash -euc '
  libs() { ldd "$1" 2>/dev/null | grep -oE "/[^ ]+" || true; }
  for name in xtables-nft-multi xtables-legacy-multi nft conntrack ip busybox; do
    program=$(command -v $name); echo "$program"; readlink -f "$program"; libs "$(readlink -f "$program")"
  done
  lib=/usr/lib/$(uname -m)-linux-gnu
  for so in $lib/xtables/*.so; do libs "$so"; done
  ls -d $lib/xtables /lib/$(uname -m)-linux-gnu/lib{nss_dns.so.2,nss_files.so.2,resolv.so.2}' |
  sed -E 's#^/(lib64|lib|bin|sbin)/#/usr/\1/#; s#^/##' | sort -u > "$work/files"
tar -C "$root" -chf - --files-from="$work/files" | tar -C "$sys" -xf -
# A busybox that is linked statically crashes when it looks a name up.
for name in $(chroot "$root" busybox --list); do
  [[ -e $sys/usr/bin/$name || -e $sys/usr/sbin/$name ]] || ln -s busybox "$sys/usr/bin/$name"
done
for name in ip{,6}tables{,-save,-restore}; do ln -sf xtables-nft-multi "$sys/usr/sbin/$name"; done
install -m755 "$bin/kubebox" "$bin/local-path-provisioner" "$from/kindnet-lite" "$sys/usr/local/bin/"
for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubectl; do ln -s kubebox "$sys/usr/local/bin/$name"; done
mv "$root/usr/local/bin/etcd" "$sys/usr/local/bin/"
install -m755 "$bin/coredns" "$sys/coredns"
gcc -O2 -s -static -o "$sys/pause" "$from/pause.c"
echo 'root:x:0:0:root:/root:/bin/sh' > "$sys/etc/passwd"
echo 'root:x:0:' > "$sys/etc/group"
chmod 1777 "$sys/tmp"
tar -C "$sys" --numeric-owner -cf "$work/sys.tar" .
# The same layer under three names, which differ in what they start.
docker import --change 'ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin' "$work/sys.tar" $local/system:v1
docker import --change 'ENTRYPOINT ["/coredns"]' "$work/sys.tar" $local/coredns:v1
docker import --change 'ENTRYPOINT ["/pause"]' "$work/sys.tar" $local/pause:v1
names=("$local/system:v1")
for name in $("$bin/kubebox" kubeadm config images list --kubernetes-version "$version" 2>/dev/null); do
  case $name in
    */coredns:*) docker tag $local/coredns:v1 "$name" ;;
    */pause:*) docker tag $local/pause:v1 "$name" ;;
    *) docker tag $local/system:v1 "$name" ;;
  esac
  names+=("$name")
done
docker save -o "$work/images.tar" "${names[@]}"

### The node: Kubernetes' programs, and what kind looks for.
cp -a "$from/files/." "$root/"
for name in "$root"/kind/manifests/*.in; do mv "$name" "${name%.in}"; done # templates of kind's: not all are YAML yet
install -m755 "$bin/kubebox" "$root/usr/bin/"
for name in kubelet kubeadm kubectl; do ln -s kubebox "$root/usr/bin/$name"; done
mkdir -p "$root"/{opt/cni,etc/kubernetes/manifests,etc/containerd/certs.d,etc/cni/net.d}
ln -s /usr/lib/cni "$root/opt/cni/bin"
rm -f "$root"/etc/cni/net.d/* "$root/etc/hostname"
echo -n "$version" > "$root/kind/version"
# Without the right to raise limits, a container that is to have limits of its own can't start.
chroot "$root" sh -c "ctr oci spec | jq 'del(.process.rlimits)' > /etc/containerd/cri-base.json"
echo 'ReadKMsg=no' >> "$root/etc/systemd/journald.conf"
chroot "$root" systemctl enable containerd.service kubelet.service
: > "$root/etc/resolv.conf"
entrypoint='ENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]'
tar -C "$root" --numeric-owner -cf - . |
  docker import --change 'ENV container=docker' --change 'STOPSIGNAL SIGRTMIN+3' --change "$entrypoint" - $local/node-base:v1

### The system image into the node's containerd.
docker rm -f kind-bed-node >/dev/null 2>&1 || true
docker run -d --name kind-bed-node --network none --entrypoint sleep --security-opt seccomp=unconfined $local/node-base:v1 infinity
docker exec -d kind-bed-node containerd
for _ in $(seq 60); do docker exec kind-bed-node ctr version >/dev/null 2>&1 && break; sleep 0.5; done
docker exec -i kind-bed-node ctr -n k8s.io images import --all-platforms --no-unpack --digests - < "$work/images.tar"
# shellcheck disable=SC2016 # the node's shell
docker exec kind-bed-node sh -c 'kill $(pidof containerd); sleep 1; rm -rf /run/containerd /tmp/*'
docker commit --change "$entrypoint" --change "LABEL bed=$1" kind-bed-node "${node_image:?}"
docker rm -f kind-bed-node
docker image rm $local/node-base:v1 || true
rm -rf "$work"
