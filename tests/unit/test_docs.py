# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the docs name is there: files, headings, variables, make targets, modules, playbooks."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from ansible_collections.windward.airflow.plugins.plugin_utils._preflight.contract import Contract

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("roles/*/README.md")])
CONTRACT = Contract.load()
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def text(page: Path) -> str:
    """A page without the parts that are generated, which have tests of their own, and without output of programs."""
    raw = re.sub(r"<!-- ([a-z ]+) -->.*?<!-- /\1 -->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"```text.*?```", "", raw, flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub links to them."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _hash, anchor = unquote(link).partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@each_page
def test_variables_are_of_the_contract(page: Path) -> None:
    named = set(re.findall(r"(?<![\w./-])airflow_[a-z0-9_]+\b(?!\*|[.:]py)", text(page)))
    known = {*CONTRACT.options, *CONTRACT.groups, "airflow_removed"}
    # `airflow_database_*` stands for several.
    named = {name for name in named if not (name.endswith("_") and any(one.startswith(name) for one in known))}
    # Examples of what is refused, and of a name of the reader's own; a module of Airflow's.
    assert named - known - {"airflow_exeuctor", "airflow_local_settings"} == set()


@each_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    code = " ".join(re.findall(r"`make [^`\n]+`|^make .+$", text(page), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", code)) - targets == set()


@each_page
def test_modules_and_playbooks_exist(page: Path) -> None:
    plugins = {path.stem for path in ROOT.glob("plugins/*/*.py")}
    known = (
        plugins | {path.name for path in (ROOT / "roles").iterdir()} | {path.stem for path in ROOT.glob("playbooks/*")}
    )
    assert set(re.findall(r"windward\.airflow\.([a-z_]+)", text(page))) - known - {"airflow"} == set()
    playbooks = set(re.findall(r"playbooks/[a-z_]+\.yml", text(page)))
    assert [name for name in playbooks if not (ROOT / name).is_file()] == []


@each_page
def test_yaml_examples_are_yaml(page: Path) -> None:
    for example in re.findall(r"```yaml\n(.*?)```", text(page), re.DOTALL):
        assert yaml.safe_load(example)


def test_the_matrix_of_secrets_is_that_of_the_components() -> None:
    columns = ["database", "results_database", "broker", "fernet_key", "jwt_secret", "api_secret_key"]
    told = {}
    for row in re.findall(r"^\|(.*)\|$", text(ROOT / "docs" / "secrets.md"), re.MULTILINE):
        name, *cells = [cell.strip() for cell in row.split("|")]
        if name in CONTRACT.components:
            told[name] = {column for column, cell in zip(columns, cells, strict=True) if cell}
    built = {name: component for name, component in CONTRACT.components.items() if name != "flower"}
    assert told == {name: set(component["secrets"]) for name, component in built.items()}


def test_the_table_of_what_is_set_has_the_api_servers_pool() -> None:
    page = text(ROOT / "docs" / "many-machines.md")
    (row,) = re.findall(r"^\| api-server: `\[database\] (.+)` \| (.+?) \|", page, re.MULTILINE)
    pool = CONTRACT.components["api-server"]["settings"]["database"]
    assert row == ("`, `".join(pool), ", ".join(map(str, pool.values())))


def test_tasks_to_start_at_are_the_first_of_their_steps() -> None:
    files = {"machines": "airflow/tasks/found.yml", "airflow": "systemd/tasks/main.yml"}
    files |= {role: f"{role}/tasks/main.yml" for role in ("resources", "dags", "verify")}
    page = text(ROOT / "docs" / "operations.md")
    named = dict(re.findall(r"^\| \d `(\w+)`.* \| `(.+)` \|$", page, re.MULTILINE))
    assert named.keys() == files.keys()
    for step, path in files.items():
        tasks = yaml.safe_load((ROOT / "roles" / path).read_text(encoding="utf-8"))
        assert named[step] == next(task["name"] for task in tasks if "ansible.builtin.import_tasks" not in task)
    (in_a_cluster,) = re.findall(r"^In a cluster step 2 has `(.+)`, and .* `(.+)`\.$", page, re.MULTILINE)
    for name, path in zip(in_a_cluster, ("kubernetes/tasks/found.yml", "image/tasks/main.yml"), strict=True):
        assert name == yaml.safe_load((ROOT / "roles" / path).read_text(encoding="utf-8"))[0]["name"]


def test_every_page_is_reached_from_the_readme() -> None:
    linked = {(ROOT / link).resolve() for link in re.findall(r"\]\(([^)#\s]+)", text(ROOT / "README.md"))}
    assert [page.name for page in PAGES if page != ROOT / "README.md" and page not in linked] == []
