#!/usr/bin/env bash
# One Debian 13 userland for Airflow, PostgreSQL and Redis: their images share its layer. usage: userland.sh OUT.tar
set -euo pipefail
packages=(python3 python3-venv git openssh-client dumb-init netcat-openbsd libpq5 ca-certificates tzdata procps
  postgresql postgresql-client redis-server curl libxml2 libmariadb3)
# shellcheck disable=SC2016 # mmdebstrap's shell knows $1
mmdebstrap --variant=minbase --skip=cleanup/reproducible --include="$(IFS=,; echo "${packages[*]}")" \
  --keyring=/usr/share/keyrings/debian-archive-trixie-stable.gpg --keyring=/usr/share/keyrings \
  --aptopt='Acquire::Languages "none"' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --essential-hook='mkdir -p "$1/etc/postgresql-common"; echo "create_main_cluster = false" > "$1/etc/postgresql-common/createcluster.conf"' \
  --customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*' trixie "$1"
