# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private to the collection. The archive of a chart."""

from __future__ import annotations

import tarfile
from typing import Any

try:
    import yaml
except ImportError:  # said by the modules
    yaml = None  # type: ignore[assignment]


def member(path: str, name: str) -> bytes:
    """A file at the top of a chart, empty if it has none. Raises OSError and tarfile.TarError."""
    with tarfile.open(path) as archive:
        names = [one for one in archive.getnames() if one.count("/") == 1 and one.endswith(f"/{name}")]
        found = archive.extractfile(names[0]) if names else None
        return found.read() if found else b""


def about(path: str) -> dict[str, Any]:
    """What a chart says of itself. Raises yaml.YAMLError, too."""
    return dict(yaml.safe_load(member(path, "Chart.yaml")) or {})
