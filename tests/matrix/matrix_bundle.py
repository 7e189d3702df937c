# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A DAG bundle with a version, so that the module dag_release has something to prove."""

from __future__ import annotations

from typing import Any

from airflow.dag_processing.bundles import base
from airflow.dag_processing.bundles.local import LocalDagBundle


class MatrixBundle(LocalDagBundle):
    """A folder that never changes."""

    supports_versioning = True

    def get_current_version(self) -> Any:
        """Return a name; from 3.3 on Airflow wants it in an object."""
        wrap = getattr(base, "BundleVersion", None)
        return wrap(version="matrix") if wrap else "matrix"
