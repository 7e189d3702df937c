# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The modules against a deployment: what they do, and that nothing of what they were given leaks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from api_script import run_module
from deployment import PLAIN, Deployment

# What is drawn at random is for make test-long.
RANDOM = ("test_fuzz", "test_property", "test_property_accounts")


@pytest.fixture(scope="module")
def vm() -> Deployment:
    return Deployment("modules")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tests of modules write down the secrets that they gave to Airflow, and a word that is none."""
    return tmp_path_factory.mktemp("used") / "secrets.json"


@pytest.fixture
def airflow(vm: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules' connection options, from the environment."""
    monkeypatch.setenv("AIRFLOW_API_URL", vm.url())
    monkeypatch.setenv("AIRFLOW_API_USERNAME", "admin")
    monkeypatch.setenv("AIRFLOW_API_PASSWORD", vm.secrets()["admin_password"])


def test_modules(vm: Deployment, airflow: None, used: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_TEST_SECRETS", str(used))
    run = vm.play("tests/integration/modules.yml")
    assert run.code == 0, run.failures
    where = ["tests/live", *(f"--ignore=tests/live/{name}.py" for name in RANDOM)]
    live = vm.said(["pytest", "-p", "no:cacheprovider", "--durations=10", "--color=no", *where], PLAIN)
    print(live.out)
    assert live.code == 0


def connections(vm: Deployment) -> dict[str, dict[str, Any]]:
    """Airflow's default connections with their secrets, as its own export gives them.

    JSON has many spellings; and an empty text is nothing: two of the defaults have an empty host instead of none.
    """
    said = vm.shell("airflow connections export - --file-format json 2> /dev/null")
    found = json.loads(said[said.index("\n{\n") if not said.startswith("{") else 0 :])  # after what it logs there too
    default = {name: one for name, one in found.items() if name.endswith("_default")}
    return {
        name: {**{k: v or None for k, v in one.items()}, "extra": json.loads(one["extra"] or "{}")}
        for name, one in default.items()
    }


def test_airflows_own_connections_survive_export_and_import(
    vm: Deployment, airflow: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vm.shell("airflow connections create-default-connections")
    before = connections(vm)
    names = sorted(before)
    assert len(names) >= 50
    exported = run_module("export", {"kinds": ["connections"]}, capsys)
    vault = yaml.safe_load(exported["vault_content"].replace("# ", ""))  # as somebody does who fills it in
    secrets = [one for one in exported["secrets"] if one["name"] in before]
    assert len(secrets) >= 10
    for one in secrets:
        value: Any = before[one["name"]]
        for key in one["field"].split("."):
            value = value[key]
        vault[one["variable"]] = value
    (tmp_path / "resources.yml").write_text(exported["content"])
    (tmp_path / "vault.yml").write_text(yaml.safe_dump(vault))
    play = "tests/deployment/round_trip.yml"
    try:
        run = vm.play(play, names=names, folder=str(tmp_path))
        assert run.code == 0, run.failures
        assert connections(vm) == before
    finally:
        vm.play(play, names=names, folder=str(tmp_path), wipe_only=True)
    assert connections(vm) == {}


def test_nothing_that_modules_wrote_leaks(vm: Deployment, used: Path) -> None:
    """The secrets that Airflow was given are in clear neither in its database, nor in a journal or file."""
    if not used.exists():
        pytest.skip("test_modules did not run before, which leaves the secrets to look for")
    known = json.loads(used.read_text())
    script = """umask 077
cat > /root/words <<'END'
{words}
END
trap 'rm -f /root/words' EXIT
search() {{ grep --quiet --text --fixed-strings --file=/root/words; }}
(cd / && sudo -u postgres pg_dump --inserts airflow) | search && echo database
for namespace in "" --namespace=airflow; do
  journalctl $namespace --no-pager | search && echo "journal $namespace"
done
find /var/log /var/lib/airflow /tmp /var/tmp /etc/airflow -xdev -type f -print0 |
  xargs -0 grep --files-with-matches --text --fixed-strings --file=/root/words
echo end"""
    assert vm.shell(script.format(words="\n".join(known["words"]))) == "end\n"
    found = vm.shell(script.format(words=known["control"])).splitlines()
    assert found[0] == "database", "the search finds what is there"
