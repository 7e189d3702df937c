# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: it may change without notice.

"""The pinned installer of releases: how it comes to a host and how it is called."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from typing import Any

CACHE = "/var/cache/airflow/uv"
ENVIRONMENT = {
    "UV_CACHE_DIR": CACHE, "UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy",
    "UV_SYSTEM_CERTS": "1",
}
# What users require is locked together with Airflow's own lock; and a lock is installed as it is.
COMPILE = ("pip", "compile", "--quiet", "--generate-hashes", "--no-annotate", "--no-header")
INSTALL = ("pip", "install", "--quiet", "--no-deps", "--require-hashes", "--compile-bytecode")

# Documented in doc_fragments/release.py.
OPTIONS: dict[str, Any] = {
    "root": {"type": "path", "required": True},
    "lock": {"type": "path", "required": True},
    "uv_lock": {"type": "path", "required": True},
    "python": {"type": "path", "default": "/usr/bin/python3"},
    "index_url": {"type": "str", "default": "https://pypi.org/simple", "no_log": True},
    "environment": {"type": "dict", "default": {}, "no_log": True},
}


def inputs(lock: str, requirements: list[str]) -> str:
    """What is resolved. Every line of the lock is wanted as it is, so a user's requirement can add, never move."""
    pinned = re.findall(r"^\S.*?(?= \\$)", lock, re.MULTILINE)
    return "\n".join(pinned + requirements) + "\n"


class Uv:
    """Calls uv with the module's options; ``seconds`` keeps how long each named part took."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.params = module.params
        self.seconds: dict[str, float] = {}

    def command(self, argv: list[str], part: str = "", **environment: str) -> str:
        """Run a program and return what it printed; its failure ends the module with what it said."""
        started = time.monotonic()
        # Byte code is written at build time: services can't write it, and would compile again at every start.
        variables = {"PYTHONDONTWRITEBYTECODE": "", **environment}
        variables.update({name: str(value) for name, value in self.params["environment"].items()})
        code, out, err = self.module.run_command(argv, environ_update=variables)
        if part:
            self.seconds[part] = round(time.monotonic() - started, 1)
        if code:
            said = (err or out).strip()[-3000:]
            self.module.fail_json(
                msg=f"{part or os.path.basename(argv[0])} ended with {code}: {said}", seconds=self.seconds
            )
        return out

    def run(self, *argv: str, part: str = "") -> str:
        """Run the pinned uv."""
        return self.command(
            [self._program(), *argv],
            part=part,
            UV_DEFAULT_INDEX=self.params["index_url"],
            **ENVIRONMENT,
        )

    def _program(self) -> str:
        """Return the path of uv, installed from its pinned wheel by the host's own pip the first time."""
        digest = hashlib.sha256(self.params["uv_lock"].encode()).hexdigest()[:12]
        home = os.path.join(self.params["root"], "uv", digest)
        if not os.path.exists(os.path.join(home, ".whole")):
            shutil.rmtree(home, ignore_errors=True)
            self.command([self.params["python"], "-m", "venv", home], part="environment of uv")
            self.command(
                [os.path.join(home, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--no-compile",
                 "--require-hashes", "-r", self.params["uv_lock"]],
                part="install of uv",
                PIP_INDEX_URL=self.params["index_url"],  # it may hold a password, so it is on no command line
            )
            with open(os.path.join(home, ".whole"), "w", encoding="utf-8"):
                pass
        return os.path.join(home, "bin", "uv")
