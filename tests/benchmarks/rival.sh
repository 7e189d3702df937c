#!/usr/bin/env bash
# The official quick start (https://airflow.apache.org/docs/apache-airflow/stable/start.html): install by uv, then
# `airflow standalone` until the scheduler, the DAG processor and the triggerer are healthy. Prints the seconds.
set -euo pipefail
sudo apt-get update -qq && sudo apt-get install -y -qq --no-install-recommends python3-venv curl >/dev/null
unset PYTHONDONTWRITEBYTECODE
started=$(date +%s.%N)
python3 -m venv ~/uv && ~/uv/bin/pip install --quiet --disable-pip-version-check uv==0.13.8
export UV_CACHE_DIR=/var/cache/airflow/uv UV_LINK_MODE=copy UV_SYSTEM_CERTS=true
sudo chmod -R a+rwX /var/cache/airflow/uv
~/uv/bin/uv venv --quiet ~/airflow-venv
~/uv/bin/uv pip install --quiet --python ~/airflow-venv/bin/python --exclude-newer "$2" \
  "apache-airflow[amazon,celery,cncf-kubernetes,fab,postgres,redis,statsd]==$1"
installed=$(date +%s.%N)
export AIRFLOW_HOME=~/airflow AIRFLOW__CORE__LOAD_EXAMPLES=False PATH=~/airflow-venv/bin:$PATH
setsid airflow standalone >~/standalone.log 2>&1 </dev/null &
for _ in $(seq 600); do
  health=$(curl -s http://localhost:8080/api/v2/monitor/health || true)
  [ "$(grep -o '"healthy"' <<<"$health" | wc -l)" -ge 4 ] && break
  sleep 0.2
done
ended=$(date +%s.%N)
kill -- -$! || true
[ "$(grep -o '"healthy"' <<<"$health" | wc -l)" -ge 4 ] || { tail -50 ~/standalone.log; exit 1; }
awk "BEGIN { printf \"install %.1f healthy %.1f\n\", $installed - $started, $ended - $started }"
