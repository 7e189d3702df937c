# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the official chart's archive is: AIRFLOW_CHART, else a kept copy, else its own site, from which it is kept.

    python tests/chart/archive.py      prints its path; where there is none, says why on standard error and fails
"""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.request
from pathlib import Path

NAME = "airflow-1.22.0.tgz"
SHA256 = "1f7d1dfe3d58e2c54899950aba907a43625a18c8b6fb3c54760c21592129a5b6"
SITE = f"https://airflow.apache.org/{NAME}"


def archive() -> Path:
    """Return its path, or raise OSError with what is wrong."""
    if given := os.environ.get("AIRFLOW_CHART"):
        if not Path(given).is_file():
            raise OSError(f"AIRFLOW_CHART names {given}, where there is no file")
        return Path(given)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept = cache / "windward.airflow" / "chart" / NAME
    if not kept.is_file():
        try:
            with urllib.request.urlopen(SITE, timeout=30) as answer:
                held = answer.read()
        except OSError as error:
            raise OSError(f"no chart at AIRFLOW_CHART, at {kept}, nor at {SITE} ({error})") from None
        if hashlib.sha256(held).hexdigest() != SHA256:
            raise OSError(f"{SITE} is not the chart that is tested here")
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".part")
        partial.write_bytes(held)
        partial.replace(kept)
    return kept


if __name__ == "__main__":
    try:
        print(archive())
    except OSError as error:
        sys.exit(f"SKIPPED: {error}")
