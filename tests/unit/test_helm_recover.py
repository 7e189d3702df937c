# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Helm's record of a revision, as helm writes it."""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.module_utils._kubernetes_api import KubernetesError
from ansible_collections.windward.airflow.plugins.modules.helm_recover import (
    as_failed,
    compares,
    is_as_wanted,
    lost,
)

CHART = {"name": "airflow", "version": "1.22.0", "appVersion": "3.2.2"}
VALUES = {"executor": "CeleryExecutor", "workers": {"replicas": 2}}


def packed(content: dict[str, Any]) -> str:
    return base64.b64encode(gzip.compress(json.dumps(content).encode())).decode()


def test_only_the_status_changes() -> None:
    about = {"status": "pending-upgrade", "notes": "n"}
    content = {"name": "airflow", "version": 3, "manifest": "kind: Pod", "info": about}
    after = json.loads(gzip.decompress(base64.b64decode(as_failed(packed(content)))))
    assert after["info"].pop("status") == "failed" and "killed" in after["info"].pop("description")
    assert after == {**content, "info": {"notes": "n"}}


@pytest.mark.parametrize(
    ("deployed", "config", "chart", "same"),
    [
        (CHART, VALUES, CHART, True),
        ({**CHART, "appVersion": ""}, VALUES, {"name": "airflow", "version": "1.22.0"}, True),
        (CHART, None, CHART, False),
        (CHART, {**VALUES, "workers": {"replicas": 3}}, CHART, False),
        (CHART, {**VALUES, "more": None}, CHART, False),
        (CHART, VALUES, {**CHART, "version": "1.23.0"}, False),
        (CHART, VALUES, {**CHART, "appVersion": "3.3.2"}, False),
        (CHART, VALUES, {**CHART, "name": "another"}, False),
    ],
)
def test_whether_a_release_is_what_is_wanted(
    tmp_path: Path, deployed: Any, config: Any, chart: Any, same: bool
) -> None:
    with tarfile.open(tmp_path / "chart.tgz", "w:gz") as archive:
        for name, content in (("airflow/charts/redis/Chart.yaml", {"name": "no"}), ("airflow/Chart.yaml", chart)):
            entry, data = tarfile.TarInfo(name), json.dumps(content).encode()
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    record = packed({"chart": {"metadata": deployed}, "config": config})
    assert is_as_wanted(record, str(tmp_path / "chart.tgz"), VALUES) is same


def test_what_somebody_has_removed_scaled_or_changed_is_told() -> None:
    def one(kind: str, name: str, **spec: Any) -> dict[str, Any]:
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}

    images = [{"image": "a:1"}, {"image": "b:1"}]
    release = [
        one("Deployment", "a", replicas=1), one("Deployment", "b", replicas=2), one("Deployment", "scaled-by-others"),
        one("Service", "s"), one("Deployment", "gone", replicas=1), one("ServiceAccount", "gone-too"),
        one("Deployment", "edited", replicas=1, containers=images), one("ConfigMap", "cut", a={"b": 1}),
        one("Service", "port", ports=[{"port": 80, "targetPort": 1}], selector={}),
    ]  # fmt: skip
    there = {"a": {"replicas": 1}, "b": {"replicas": 0}, "scaled-by-others": {"replicas": 7}, "s": {"added": True},
             "edited": {"replicas": 1, "containers": [images[0], {"image": "b:2"}]}, "cut": {},
             "port": {"ports": [{"port": 81, "targetPort": 1, "protocol": "TCP"}]}}  # fmt: skip

    class Cluster:
        def read(self, wanted: dict[str, Any]) -> dict[str, Any] | None:
            name = wanted["metadata"]["name"]
            about = {**wanted["metadata"], "resourceVersion": "7"}
            return {**wanted, "metadata": about, "spec": there[name]} if name in there else None

        def apply(self, wanted: dict[str, Any], manager: str, try_only: bool) -> dict[str, Any]:
            assert manager == "helm" and try_only
            if wanted["metadata"]["name"] == "s":
                raise KubernetesError("a webhook does not support dry run")
            if wanted["metadata"]["name"] == "port":
                raise KubernetesError("duplicate nodePort")
            was = self.read(wanted) or {}
            return {**was, "metadata": wanted["metadata"], "spec": {**was["spec"], **wanted["spec"]}}

    manifest = "".join(f"---\n# Source: a\n{json.dumps(part)}\n" for part in release) + "---\n# nothing\n"
    warnings: list[str] = []
    assert lost(packed({"manifest": manifest}), Cluster(), warnings.append) == [
        "Deployment b has 0 replicas and not 2", "Deployment gone is not there", "ServiceAccount gone-too is not there",
        "Deployment edited has another spec.containers[1].image than it was given",
        "ConfigMap cut has another spec.a than it was given",
        "Service port has another spec.ports[0].port than it was given",
    ]  # fmt: skip
    assert warnings == ["Service s was not compared with what is there: a webhook does not support dry run"]


@pytest.mark.parametrize(
    ("variable", "place"),
    [
        ("HELM_PLUGINS", "diff"), ("HELM_DATA_HOME", "plugins/diff"), ("XDG_DATA_HOME", "helm/plugins/diff"),
        ("HOME", ".local/share/helm/plugins/diff"),
    ],
)  # fmt: skip
def test_helms_plugin_is_found_where_helm_looks(tmp_path: Path, variable: str, place: str) -> None:
    environment = {"HOME": str(tmp_path / "home"), variable: str(tmp_path)}
    directory = tmp_path / place
    directory.mkdir(parents=True)
    (directory / "plugin.yaml").write_text('name: "different"\n')
    assert not compares(environment)
    (directory / "plugin.yaml").write_text('version: 1\nname: "diff"\n')
    assert compares(environment)
