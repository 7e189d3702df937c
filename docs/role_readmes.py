# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write the generated parts of each role's README: `python docs/role_readmes.py`.

A part stands between `<!-- NAME -->` and `<!-- /NAME -->`; a README has those that it wants.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]


def specification(role: Path) -> dict[str, dict[str, Any]]:
    """The entry points of a role."""
    return yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]


def plain(text: str | Iterable[str]) -> str:
    """Ansible's markup as Markdown's."""
    text = text if isinstance(text, str) else " ".join(text)
    return re.sub(r"\b[CVOM]\(((?:[^()]|\([^()]*\))*)\)", r"`\1`", text).replace("|", "\\|")


def variables(role: Path) -> str:
    rows = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for name, option in specification(role)["main"]["options"].items():
        kind = f"{option['type']} of {option['elements']}" if "elements" in option else option["type"]
        default = f"`{json.dumps(option['default'])}`" if "default" in option else ""
        choices = f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}." if "choices" in option else ""
        secret = " Secret." if option.get("no_log") else ""
        rows.append(f"| `{name}` | {kind} | {default} | {plain(option['description'])}{choices}{secret} |")
    return "\n".join(rows)


def entry_points(role: Path) -> str:
    return "\n".join(
        f"- `{name}`: {plain(entry['short_description'])}. {plain(entry['description'])}"
        for name, entry in specification(role).items()
    )


def rules(_role: Path) -> str:
    """The rules of preflight, by their own words."""
    sys.path[:0] = [str(ROOT / ".collections")]
    from ansible_collections.windward.airflow.plugins.plugin_utils._preflight import engine

    tables: dict[str, list[Any]] = {
        "Declared, asked for each host": engine.HOST_RULES,
        "Declared, asked once": engine.DEPLOYMENT_RULES,
        "Found, asked for each host": engine.FOUND_RULES,
        "Found in a cluster": engine.CLUSTER_RULES,
    }
    parts = []
    for title, table in tables.items():
        lines = [
            f"- {rule.__doc__} (`{rule.__module__.rpartition('.')[2]}.{rule.__name__}`)"
            for rule in sorted(table, key=lambda rule: rule.__module__)
        ]
        parts.append("\n".join([f"**{title}**", "", *lines]))
    return "\n\n".join(parts)


PARTS: dict[str, Callable[[Path], str]] = {"variables": variables, "entry points": entry_points, "rules": rules}


def rendered(role: Path) -> str:
    """The README as it should be."""
    text = (role / "README.md").read_text(encoding="utf-8")
    for name, part in PARTS.items():
        found = re.search(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", text, re.DOTALL)
        if found:
            text = f"{text[: found.end(1)]}{part(role)}\n{text[found.start(2) :]}"
    return text


def main() -> None:
    for readme in sorted(ROOT.glob("roles/*/README.md")):
        readme.write_text(rendered(readme.parent), encoding="utf-8")


if __name__ == "__main__":
    main()
