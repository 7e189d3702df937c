# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an image is built of, its names, and which of its tags stay."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.windward.airflow.plugins.filter.image_lifecycle import history, image_lifecycle
from ansible_collections.windward.airflow.plugins.module_utils._image import own_platform
from ansible_collections.windward.airflow.plugins.module_utils._image_build import Declared, Stage, Tree, stages
from api_script import run_module

LOCK = """a==1 \\
    --hash=sha256:0f
    # via b
b==2 ; python_version < '3.11' \\
    --hash=sha256:1f
"""
REPOSITORY = "registry.example.org/team/airflow"
BARE = Declared(REPOSITORY, "apache/airflow:3.3.2", "linux/amd64", LOCK, "uv==1 --hash=sha256:2f\n")
TREE, OTHER = Tree("/here", "0f5c"), Tree("/here", "1f5c")
WHOLE = dataclasses.replace(
    BARE, requirements=["pandas", "acme>=2"], system_packages=["libpq5", "git"], plugins=TREE, pythonpath=TREE,
    dags=TREE,
)


def last(declared: Declared) -> Stage:
    return list(stages(declared).values())[-1]


def test_all_of_it() -> None:
    lower, upper = stages(WHOLE).items()
    assert lower[0].startswith("packages-") and upper[0].startswith("inputs-")
    lines = lower[1].dockerfile.splitlines()
    assert [line.split()[0] for line in lines] == ["FROM", "USER", "RUN", "RUN", "COPY", "COPY", "USER"]
    assert lines[2].endswith(" sh /packages/system.sh") and lines[3].endswith(" sh /packages/install.sh")
    assert "--no-install-recommends git libpq5\nrm" in lower[1].files["packages/system.sh"]
    assert lower[1].files["packages/lock.in"] == "a==1\nb==2 ; python_version < '3.11'\n"
    assert lower[1].files["packages/requirements.in"] == "acme>=2\npandas\n"
    assert lower[1].trees == {"plugins": TREE, "pythonpath": TREE}
    assert upper[1].dockerfile == (
        f"FROM {REPOSITORY}:{lower[0]}\nUSER root\nCOPY dags /opt/airflow/dags\n"
        "LABEL windward.airflow.dags=0f5c\nUSER 50000:0\n"
    )
    assert upper[1].trees == {"dags/releases/0f5c": TREE} and upper[1].links == {"dags/current": "releases/0f5c"}


def test_every_step_ends_with_the_official_user() -> None:
    for stage in stages(WHOLE).values():
        users = re.findall(r"^USER (.*)", stage.dockerfile, re.MULTILINE)
        assert users == ["root", "50000:0"]


def test_dags_alone_are_put_on_the_base() -> None:
    ((tag, stage),) = stages(dataclasses.replace(BARE, dags=TREE)).items()
    assert tag.startswith("inputs-") and stage.base == "apache/airflow:3.3.2"


def test_without_dags_there_is_one_stage() -> None:
    ((tag, stage),) = stages(dataclasses.replace(WHOLE, dags=None)).items()
    assert tag.startswith("inputs-") and "install.sh" in stage.dockerfile


def test_nothing_is_a_copy_of_the_base() -> None:
    assert last(BARE).dockerfile == "FROM apache/airflow:3.3.2\n"


def test_requirements_are_installed_by_their_hashes() -> None:
    step = last(dataclasses.replace(WHOLE, dags=None)).files["packages/install.sh"]
    assert step.index("--generate-hashes") < step.index("--no-deps --require-hashes --compile-bytecode")
    assert "--no-compile --require-hashes -r /packages/uv.txt" in step


@pytest.mark.parametrize("change", [
    {"base": "apache/airflow:3.3.3"},
    {"platform": "linux/arm64"},
    {"lock": LOCK.replace("==1", "==1.1")},
    {"uv_lock": "uv==2\n"},
    {"requirements": ["pandas"]},
    {"system_packages": []},
    {"plugins": OTHER},
    {"pythonpath": None},
    {"dags": OTHER},
])  # fmt: skip
def test_each_input_makes_another_name(change: dict[str, Any]) -> None:
    """And only the DAGs leave what they are put on as it is."""
    (lower, upper), (other_lower, other_upper) = stages(WHOLE), stages(dataclasses.replace(WHOLE, **change))
    assert upper != other_upper
    assert (lower == other_lower) == ("dags" in change)


@pytest.mark.parametrize("change", [
    {"requirements": ["acme>=2", "pandas"], "system_packages": ["git", "libpq5"]},
    {"plugins": Tree("/there", "0f5c"), "dags": Tree("/there", "0f5c")},
])  # fmt: skip
def test_order_and_place_make_none(change: dict[str, Any]) -> None:
    assert list(stages(WHOLE)) == list(stages(dataclasses.replace(WHOLE, **change)))


def test_without_requirements_the_lock_is_no_input() -> None:
    declared = dataclasses.replace(WHOLE, requirements=[])
    assert list(stages(declared)) == list(stages(dataclasses.replace(declared, lock="c==3 \\\n")))


def test_contexts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "dags"
    (source / "sub").mkdir(parents=True)
    (source / "a.py").write_text("a")
    (source / "a.py").chmod(0o600)
    (source / "sub" / "run.sh").write_text("b")
    (source / "sub" / "run.sh").chmod(0o700)
    (source / "sub" / "b.py").symlink_to("../a.py")
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "a.pyc").write_text("no")
    for name in ("lock", "uv"):
        (tmp_path / name).write_text(LOCK)
    options = {
        "repository": REPOSITORY, "base": "apache/airflow:3.3.2", "lock": str(tmp_path / "lock"),
        "uv_lock": str(tmp_path / "uv"), "system_packages": ["git"], "dags": str(source),
    }  # fmt: skip
    named = run_module("image_context", options, capsys)
    assert named["platform"] == own_platform()
    other = run_module("image_context", {**options, "platform": "linux/arm64/v8"}, capsys)
    assert other["platform"] == "linux/arm64" and other["stages"][0]["image"] != named["stages"][0]["image"]
    assert "is no platform" in run_module("image_context", {**options, "platform": "arm64"}, capsys)["msg"]
    assert not named["changed"] and re.fullmatch(r"20\d{12}", named["now"])
    foreseen = run_module("image_context", {**options, "dest": str(tmp_path / "out")}, capsys, check=True)
    assert not foreseen["changed"] and not (tmp_path / "out").exists()
    done = run_module("image_context", {**options, "dest": str(tmp_path / "out")}, capsys)
    assert [row["image"] for row in done["stages"]] == [row["image"] for row in named["stages"]]
    lower, upper = (Path(row["path"]) for row in done["stages"])
    assert sorted(path.name for path in lower.rglob("*")) == ["Dockerfile", "packages", "system.sh"]
    current = upper / "dags" / "current"
    assert sorted(str(path.relative_to(current.resolve())) for path in current.resolve().rglob("*")) == [
        "a.py", "sub", "sub/b.py", "sub/run.sh",
    ]  # fmt: skip
    assert (current / "sub" / "b.py").readlink() == Path("../a.py")
    modes = [(current / name).stat().st_mode & 0o777 for name in ("", "a.py", "sub/run.sh")]
    assert modes == [0o755, 0o644, 0o755]


def test_a_directory_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lock").write_text(LOCK)
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "out.py").symlink_to("/etc/passwd")
    lock = str(tmp_path / "lock")
    options = {"repository": REPOSITORY, "base": "a:1", "lock": lock, "uv_lock": lock, "dags": str(tmp_path / "dags")}
    assert "a link must be relative" in run_module("image_context", options, capsys)["msg"]
    assert "No such file" in run_module("image_context", {**options, "lock": "/nonexistent"}, capsys)["msg"]


def replica_set(revision: int, tag: str) -> dict[str, Any]:
    return {
        "metadata": {"annotations": {"deployment.kubernetes.io/revision": str(revision)}},
        "spec": {"template": {"spec": {"containers": [{"image": f"{REPOSITORY}:{tag}"}]}}},
    }


SETS = [replica_set(2, "20261102000000"), replica_set(10, "20261101000000"), replica_set(3, "20261103000000")]


def test_the_last_deployed_is_the_first() -> None:
    assert [image[-14:-6] for image in history(SETS)] == ["20261101", "20261103", "20261102"]


@pytest.mark.parametrize(("sets", "wanted", "tags"), [
    ([], "20261104000000", ["20261104000000"]),
    (SETS, "20261104000000", ["20261104000000", "20261101000000", "20261103000000"]),  # which may be refused
    (SETS, "20261101000000", ["20261101000000", "20261103000000", "20261102000000"]),  # a second run
    (SETS, "20261102000000", ["20261102000000", "20261101000000", "20261103000000"]),  # one that goes back
    ([*SETS, {**replica_set(11, "x"), "spec": {"template": {"spec": {"containers": [{"image": "other:1"}]}}}}],
     "20261104000000", ["20261104000000", "20261101000000", "20261103000000"]),
])  # fmt: skip
def test_what_is_deployed_stays_and_what_was_before(sets: list[Any], wanted: str, tags: list[str]) -> None:
    rules = image_lifecycle(sets, f"{REPOSITORY}:{wanted}", 30)["rules"]
    assert [rule["rulePriority"] for rule in rules] == list(range(1, len(rules) + 1))
    first = [rule["selection"] for rule in rules[: len(tags)]]
    assert [selection["tagPrefixList"] for selection in first] == [[tag] for tag in tags]
    assert {selection["countNumber"] for selection in first} == {9999}
    after = [*sets, replica_set(12, wanted)]
    assert image_lifecycle(after, f"{REPOSITORY}:{wanted}", 30)["rules"] == rules, "a second run changes nothing"
    rest = [rule["selection"].get("tagPrefixList") for rule in rules[len(tags) :]]
    assert rest == [["2"], ["packages-"], None]
