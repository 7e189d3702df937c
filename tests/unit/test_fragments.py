# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What several modules document in the same words stands in one doc fragment."""

from __future__ import annotations

import ast
import json
from collections import defaultdict
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def own_options(module: Path) -> dict:
    """The options that a module documents itself."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "DOCUMENTATION":
            return yaml.safe_load(ast.literal_eval(node.value)).get("options", {})
    raise AssertionError(f"{module} has no documentation")


def test_no_option_is_documented_twice() -> None:
    told = defaultdict(list)
    for module in sorted(ROOT.glob("plugins/modules/*.py")):
        for name, option in own_options(module).items():
            told[f"{name} {json.dumps(option, sort_keys=True)}"].append(module.stem)
    assert {option: modules for option, modules in told.items() if len(modules) > 1} == {}
