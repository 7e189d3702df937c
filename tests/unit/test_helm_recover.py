# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Helm's record of a revision, as helm writes it."""

from __future__ import annotations

import base64
import gzip
import json

from ansible_collections.windward.airflow.plugins.modules.helm_recover import as_failed


def test_only_the_status_changes() -> None:
    about = {"status": "pending-upgrade", "notes": "n"}
    content = {"name": "airflow", "version": 3, "manifest": "kind: Pod", "info": about}
    record = base64.b64encode(gzip.compress(json.dumps(content).encode())).decode()
    after = json.loads(gzip.decompress(base64.b64decode(as_failed(record))))
    assert after["info"].pop("status") == "failed" and "killed" in after["info"].pop("description")
    assert after == {**content, "info": {"notes": "n"}}
