# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. What an image is built of, and how: pure, nothing is read and nobody is asked.

An image is built in one or two stages, each with a name of its own in the registry: what changes seldom (`packages-`),
and on it what changes each day, the DAGs. So a changed DAG moves no package to a newer version, whichever computer
builds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from . import _uv

HOME, USER = "/opt/airflow", "50000:0"  # the official image's
DAGS, PLUGINS, PYTHONPATH = f"{HOME}/dags", f"{HOME}/plugins", f"{HOME}/pythonpath"
LOCK = f"{HOME}/requirements.txt"
# The tag with which an image was deployed first, and its release of DAGs.
TAG_LABEL, DAGS_LABEL = "windward.airflow.tag", "windward.airflow.dags"
# Steps of a build are scripts that are lent to it. Proxies and the URL of the index may hold passwords: they are in the
# memory of one step, and in no layer.
STEP = (
    "RUN --mount=type=secret,id=environment --mount=type=secret,id=ca --mount=type=tmpfs,target=/tmp"
    " --mount=type=bind,source=packages,target=/packages"
)
BEGIN = """set -eu
set -a; . /run/secrets/environment; set +a
if test -e /run/secrets/ca; then export SSL_CERT_FILE=/run/secrets/ca PIP_CERT=/run/secrets/ca; fi
"""


@dataclass(frozen=True)
class Tree:
    """A directory of the controller."""

    path: str
    digest: str


@dataclass(frozen=True)
class Declared:
    """What the contract says of an image. `lock` and `uv_lock` are the texts of Airflow's lock and of uv's."""

    repository: str
    base: str
    platform: str
    lock: str = ""
    uv_lock: str = ""
    requirements: Sequence[str] = ()
    system_packages: Sequence[str] = ()
    plugins: Tree | None = None
    pythonpath: Tree | None = None
    dags: Tree | None = None


@dataclass(frozen=True)
class Stage:
    """One build: a Dockerfile with what it copies, files by their text and directories by their place."""

    base: str
    platform: str
    dockerfile: str
    files: Mapping[str, str] = field(default_factory=dict)
    trees: Mapping[str, Tree] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Of all that it is made of; where a directory stands on a controller is no part of it."""
        whole = {**asdict(self), "trees": {name: tree.digest for name, tree in self.trees.items()}}
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:24]


def stages(declared: Declared) -> dict[str, Stage]:
    """By their tags, in the order in which they are built."""
    lower = packages(declared)
    if not declared.dags:
        return {f"inputs-{lower.digest}": lower}
    found = {f"packages-{lower.digest}": lower} if len(lower.dockerfile.splitlines()) > 1 else {}
    base = next((f"{declared.repository}:{tag}" for tag in found), declared.base)
    upper = dags(base, declared.platform, declared.dags)
    return {**found, f"inputs-{upper.digest}": upper}


def packages(declared: Declared) -> Stage:
    """What changes seldom. Files are root's, so that no task changes what the next one runs."""
    lines, files, trees = [f"FROM {declared.base}"], {}, {}
    steps = []
    if declared.system_packages:
        files["packages/system.sh"] = BEGIN + system(declared.system_packages)
        steps.append(f"{STEP} sh /packages/system.sh")
    if declared.requirements:
        files["packages/lock.in"] = _uv.inputs(declared.lock, [])
        files["packages/requirements.in"] = "\n".join(sorted(declared.requirements)) + "\n"
        files["packages/uv.txt"] = declared.uv_lock
        files["packages/install.sh"] = BEGIN + INSTALL
        steps.append(f"{STEP} --mount=type=cache,target={_uv.CACHE} sh /packages/install.sh")
    for name, tree, target in (("plugins", declared.plugins, PLUGINS), ("pythonpath", declared.pythonpath, PYTHONPATH)):
        if tree:
            trees[name] = tree
            steps.append(f"COPY {name} {target}")
    if steps:
        lines += ["USER root", *steps, f"USER {USER}"]
    return Stage(declared.base, declared.platform, "\n".join(lines) + "\n", files, trees)


def dags(base: str, platform: str, tree: Tree) -> Stage:
    """A release of DAGs, as on a volume."""
    lines = [f"FROM {base}", "USER root", f"COPY dags {DAGS}", f"LABEL {DAGS_LABEL}={tree.digest}", f"USER {USER}"]
    release = f"releases/{tree.digest}"
    return Stage(base, platform, "\n".join(lines) + "\n", {}, {f"dags/{release}": tree}, {"dags/current": release})


def system(names: Sequence[str]) -> str:
    return f"""export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install --yes --no-install-recommends {" ".join(sorted(names))}
rm -rf /var/lib/apt/lists/*
"""


# As on a host: the requirements are locked with Airflow's own lock, and the lock is installed by its hashes. But what
# the base has stays as it is: the official image has more than is in the lock, and some of that needs other versions.
INSTALL = f"""export {" ".join(f"{name}={value}" for name, value in _uv.ENVIRONMENT.items())} PYTHONDONTWRITEBYTECODE=
python=$(command -v python)
"$python" -m venv /tmp/uv
/tmp/uv/bin/pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r /packages/uv.txt
uv=/tmp/uv/bin/uv
$uv pip list --format freeze --python "$python" >/tmp/there
sed 's/^/^/; s/==.*/==/' /tmp/there >/tmp/names
grep -v -f /tmp/names /packages/lock.in >/tmp/lacking || test $? = 1
$uv {" ".join(_uv.COMPILE)} --python "$python" --constraint /tmp/there /tmp/lacking /packages/requirements.in \\
  --output-file {LOCK}
$uv {" ".join(_uv.INSTALL)} --python "$python" -r {LOCK}
$uv pip check --python "$python"
"""
