# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of modules: what several say in the same words stands in one doc fragment, and none says too little."""

from __future__ import annotations

import ast
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


GROUP = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))["action_groups"]["airflow"]


def docs(module: Path) -> dict[str, Any]:
    """DOCUMENTATION, EXAMPLES and RETURN."""
    found = {}
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id in ("DOCUMENTATION", "EXAMPLES", "RETURN"):
            found[node.targets[0].id] = yaml.safe_load(ast.literal_eval(node.value))
    assert len(found) == 3, f"{module} has no documentation"
    return found


def own_options(module: Path) -> dict[str, Any]:
    """The options that a module documents itself."""
    return docs(module)["DOCUMENTATION"].get("options", {})


def every(options: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, option in options.items():
        yield name, option
        yield from every(option.get("suboptions", {}))


@pytest.mark.parametrize("name", GROUP)
def test_a_module_of_the_api_says_all_of_itself(name: str) -> None:
    one = docs(ROOT / f"plugins/modules/{name}.py")
    about = one["DOCUMENTATION"]
    assert about["seealso"] and len(about["short_description"]) < 90
    assert [option for option, says in every(about.get("options", {})) if "type" not in says] == []
    assert [key for key, says in one["RETURN"].items() if "sample" not in says or "returned" not in says] == []
    for other in about["seealso"]:
        assert (ROOT / f"plugins/modules/{other['module'].rpartition('.')[2]}.py").is_file()


def test_no_option_is_documented_twice() -> None:
    told = defaultdict(list)
    for module in sorted(ROOT.glob("plugins/modules/*.py")):
        for name, option in own_options(module).items():
            told[f"{name} {json.dumps(option, sort_keys=True)}"].append(module.stem)
    assert {option: modules for option, modules in told.items() if len(modules) > 1} == {}
