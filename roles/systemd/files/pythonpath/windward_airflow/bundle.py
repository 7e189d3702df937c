# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A versioned DAG bundle over release directories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.base import BaseDagBundle, BundleVersion


class ReleaseBundle(BaseDagBundle):
    """DAGs of ``root/releases/<release>``.

    Which release is served is said by the link ``root/current``, or by ``release`` for good. A DAG run keeps the
    release that it started with, since Airflow hands that version to the task's process.
    Until the first release is delivered the bundle is empty: its path is ``root/releases/none``.
    Where releases are not ``lasting``, as in an image, a run whose release is gone goes on with the current one.
    """

    supports_versioning = True

    def __init__(self, *, root: str, release: str | None = None, lasting: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._root = Path(root)
        self._release = release
        self._lasting = lasting

    def _current(self) -> str:
        if self._release:
            return self._release
        try:
            return (self._root / "current").readlink().name
        except FileNotFoundError:
            return "none"

    @property
    def path(self) -> Path:
        """Directory of the version that a DAG run pinned, else of the current release."""
        releases = self._root / "releases"
        if self.version and (self._lasting or (releases / self.version).is_dir()):
            return releases / self.version
        return releases / self._current()

    def get_current_version(self) -> BundleVersion:
        """Return the name of the current release."""
        return BundleVersion(version=self._current())

    def refresh(self) -> None:
        """Nothing to fetch: releases are delivered by the play."""
