#!/bin/sh
# cgroup v2: hand every controller down to kubelet's root (systemd has left the top group empty by now). Not tried on a v2 machine yet.
set -eu
top=/sys/fs/cgroup
[ -e $top/cgroup.controllers ] || exit 0
for group in $top $top/kubelet $top/kubelet.slice; do
  mkdir -p "$group"
  # shellcheck disable=SC2013 # words of one line
  for controller in $(cat "$group/cgroup.controllers"); do echo "+$controller" > "$group/cgroup.subtree_control"; done
done
