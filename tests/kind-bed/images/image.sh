#!/usr/bin/env bash
# The userland as an image, and on it Airflow, PostgreSQL and Redis. usage: image.sh ID   (bed.sh sets the variables)
set -euo pipefail
from=$(cd "$(dirname "$0")" && pwd) local=kind-bed.local build=kind-bed-airflow
extras=celery,cncf-kubernetes,fab,postgres,redis,statsd,git,amazon,standard
command -v uv >/dev/null || { echo 'uv is needed on PATH: make venv'; exit 1; }
mkdir -p "${bed:?}/uv"
docker import "$bed/img/userland.tar" $local/userland:v1

# The official image's promises to the chart: /opt/airflow, user 50000 of group 0, /entrypoint, /clean-logs, dumb-init.
docker rm -f $build >/dev/null 2>&1 || true
docker run -d --name $build --network host -v "$(command -v uv):/usr/local/bin/uv:ro" -v "$bed/uv:/uv" \
  -v /etc/ssl/certs:/etc/ssl/certs:ro -v "$from:/src:ro" $local/userland:v1 sleep infinity
docker exec -e UV_CACHE_DIR=/uv -e UV_LINK_MODE=copy -e UV_NATIVE_TLS=1 -e SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt $build bash -euc "
  useradd -u 50000 -g 0 -m -d /home/airflow -s /bin/bash airflow
  install -d -o airflow -g 0 -m 2775 /opt/airflow /opt/airflow/{dags,logs,plugins}
  uv venv -q --python /usr/bin/python3 /opt/venv
  uv pip install -q --python /opt/venv/bin/python --compile-bytecode --exclude-newer ${released:?} \
    'apache-airflow[$extras]==${airflow:?}' psycopg2-binary asyncpg
  install -m755 /src/entrypoint /src/clean-logs /
  /opt/venv/bin/python -c 'import airflow.providers.celery.executors.celery_executor, airflow.providers.cncf.kubernetes.executors.kubernetes_executor'
  rm -rf /root/airflow /tmp/*"

one() { # NAME USER ENTRYPOINT: the userland with another start. Its user has the number that the official image gives it.
  docker rm -f "$build-$2" >/dev/null 2>&1 || true
  docker run --name "$build-$2" --network none -v "$from:/src:ro" $local/userland:v1 bash -euc "
    groupmod -o -g 999 $2; usermod -o -u 999 $2
    [[ ! -e /src/$2-entrypoint ]] || install -m755 /src/$2-entrypoint /usr/local/bin/"
  docker commit --change "ENTRYPOINT $3" --change "USER $2" --change 'CMD []' \
    --change 'ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$build-$2" "$local/$1"
  docker rm "$build-$2"
}
one postgres:17 postgres '["/usr/local/bin/postgres-entrypoint"]'
one redis:8 redis '[]'

# Last, for its label says that all of them are made.
docker commit --change "LABEL bed=$1" --change 'USER 50000:0' --change 'WORKDIR /opt/airflow' --change 'CMD []' \
  --change 'ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin AIRFLOW_HOME=/opt/airflow PYTHONUNBUFFERED=1 DUMB_INIT_SETSID=1' \
  --change 'ENTRYPOINT ["/usr/bin/dumb-init","--","/entrypoint"]' $build "$local/airflow:$airflow"
docker rm -f $build
