# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the tests of six VMs share."""

from __future__ import annotations

import pytest
from deployment import Deployment
from ledger import Ledger


@pytest.fixture(scope="module")
def vms() -> Deployment:
    return Deployment("vms")


@pytest.fixture(scope="module")
def ledger(vms: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return Ledger(vms, tmp_path_factory.mktemp("ledger"))
