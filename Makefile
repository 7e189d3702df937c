# `make help` lists the targets; the text behind ## is the help.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
export PATH := $(BIN):$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.uv: roles/systemd/files/locks/uv/requirements.txt
	$(PYTHON) -m venv $(VENV) 2>/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); }
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/.runtime: $(VENV)/.uv requirements.txt
	$(BIN)/uv pip install --quiet --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt
	$(BIN)/uv pip install --quiet --require-hashes -r requirements-dev.txt
	@touch $@

.PHONY: venv
venv: $(VENV)/.dev ## Make .venv with everything the tests need

.PHONY: dev
dev: $(VENV)/.runtime ## Bring up a whole, proved Airflow on a VM of this machine
	$(BIN)/ansible-playbook site.yml -i inventories/dev

.PHONY: kind
kind: $(VENV)/.runtime ## Bring up a whole, proved Airflow on a Kind cluster in Docker
	$(BIN)/ansible-playbook site.yml -i inventories/kind

.PHONY: lock
lock: $(VENV)/.uv ## Renew the pins of the project's own tools and of uv
	pins() { $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 $$1 -o $$2; }; \
	pins roles/systemd/files/locks/uv/requirements.in roles/systemd/files/locks/uv/requirements.txt; \
	pins requirements.in requirements.txt; pins requirements-dev.in requirements-dev.txt

RELEASE := 3.3.2
CUT := $(shell sed -n '/^  $(RELEASE):/,/released/s/.*released: "\([^"]*\)".*/\1/p' roles/airflow/vars/main/releases.yml)
.PHONY: lock-airflow
lock-airflow: $(VENV)/.uv ## Make the hash lock of an Airflow release (RELEASE=3.3.2), cut at its release date, and list its options
	cd roles/systemd/files/locks/$(RELEASE) && $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes \
	  --exclude-newer $(CUT) pyproject.toml -o requirements.txt
	home=$$(mktemp -d); trap 'rm -rf "$$home"' EXIT; cd roles/airflow/files/options; \
	AIRFLOW_HOME=$$home $(BIN)/uv run --quiet --no-project --isolated --with-requirements \
	  $(CURDIR)/roles/systemd/files/locks/$(RELEASE)/requirements.txt python read.py > "$$home/options" && \
	cat "$$home/options" > $(RELEASE).json

.PHONY: check
check: venv ## Lint, types, docs, sanity and unit tests (no machine is made)
	$(BIN)/python tests/parts.py check

.PHONY: test
test: venv ## All checks, and one, two and six hosts on virtual machines, and a cluster (more than an hour); more: test-kind, test-long
	$(BIN)/python tests/parts.py

.PHONY: test-long
test-long: venv ## Every fault on six virtual machines (an hour), a site's own services on three, then all random sequences and bad values that the modules are tried with, against the Airflow that AIRFLOW_API_URL, _USERNAME and _PASSWORD name
	$(BIN)/python tests/parts.py own_services vms_long
	LIVE_SEQUENCES=$${LIVE_SEQUENCES:-200} LIVE_TRIALS=$${LIVE_TRIALS:-100000} \
	  $(BIN)/pytest -q -p no:cacheprovider tests/live/test_property.py tests/live/test_property_accounts.py tests/live/test_fuzz.py

.PHONY: test-kind
test-kind: venv ## Real Kind clusters and Airflow on four of them, with what tests/kind-bed makes where no image can be pulled
	$(BIN)/python tests/parts.py kind kind_celery cluster image

.PHONY: lint unit sanity molecule
lint: venv ## ruff, mypy, yamllint, ansible-lint, docs and changelog
	$(BIN)/python tests/parts.py ruff mypy yamllint ansible-lint docs changelog
unit: venv ## Unit tests
	$(BIN)/python tests/parts.py unit
sanity: venv ## ansible-test sanity
	$(BIN)/python tests/parts.py sanity pylint
molecule: venv ## Every test that deploys, on virtual machines of its own
	$(BIN)/python tests/parts.py vm

.PHONY: bench
bench: venv ## Time cold and idle runs against the official quick start, on new VMs (ROUNDS=3)
	$(BIN)/python tests/benchmarks/bench.py
.PHONY: bench-resources
bench-resources: venv ## Time the module resources against Airflow's CLI and a loop of uri, on a new VM (ROUNDS=3)
	$(BIN)/python tests/benchmarks/resources.py

.PHONY: bench-kind
bench-kind: venv ## Time the first and the idle run on a Kind cluster against a bare helm
	tests/kind/run.sh $(BIN)/python tests/benchmarks/kind.py

.PHONY: bench-vms
bench-vms: venv ## Time tasks through Celery against Airflow's stock configuration, and idle runs on six hosts against two, on new VMs (ROUNDS=3)
	$(BIN)/python tests/benchmarks/machines.py

.PHONY: bench-images
bench-images: venv ## Time an image's way from a registry to two nodes against docker pull, save and import (ROUNDS=3)
	tests/registry/prepare.sh
	$(BIN)/python tests/benchmarks/images.py

.PHONY: matrix
matrix: venv ## Try every module on each version of Airflow, look into its audit log (VERSIONS="3.1.8 3.2.2")
	tests/matrix/prepare.sh
	$(BIN)/python tests/matrix/matrix.py $(VERSIONS)

.PHONY: clean
clean: ## Remove the environment and what tools cached; virtual machines stay (playbooks/cleanup.yml removes those)
	rm -rf $(VENV) .ansible .mypy_cache .pytest_cache .ruff_cache "$${XDG_CACHE_HOME:-$$HOME/.cache}/windward.airflow"
