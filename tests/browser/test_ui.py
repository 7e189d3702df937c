# Copyright: (c) 2026, Windward contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a person sees: log in with the generated password, find the canary green.

It needs a deployment that runs and what `tests/browser/prepare.sh` installs. AIRFLOW_TEST_INVENTORY names another
inventory, AIRFLOW_TEST_URL another address than its own, AIRFLOW_TEST_SCREENSHOT keeps the picture.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from webdriver import Browser, browser

ROOT = Path(__file__).parents[2]
INVENTORY = os.environ.get("AIRFLOW_TEST_INVENTORY", "inventories/dev")
URL = os.environ.get("AIRFLOW_TEST_URL", "http://localhost:8080").rstrip("/")

# Which of red, green and blue is strongest behind the word in the newest run's row; drawn, as CSS has many notations.
COLOUR_OF_SUCCESS = """(() => {
  const badge = [...document.querySelectorAll('tbody tr:first-child td *')]
    .filter(e => e.innerText?.trim() === 'Success')
    .map(e => getComputedStyle(e).backgroundColor).findLast(colour => colour !== 'rgba(0, 0, 0, 0)')
  const canvas = document.createElement('canvas').getContext('2d')
  canvas.fillStyle = badge ?? 'white'
  canvas.fillRect(0, 0, 1, 1)
  const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data
  return green > red && green > blue ? 'green' : `${badge}: ${red}, ${green}, ${blue}`
})()"""


@pytest.fixture(scope="session")
def password() -> str:
    """The generated password, read as the README says."""
    done = subprocess.run(
        ["ansible-playbook", "playbooks/password.yml", "-i", INVENTORY],
        cwd=ROOT,
        check=False,
        env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (shown,) = json.loads(done.stdout)["plays"][0]["tasks"][-1]["hosts"].values()
    return shown["msg"]


@pytest.fixture
def page() -> Iterator[Browser]:
    with browser() as session:
        session.size(1280, 800)
        yield session


def log_in(page: Browser, password: str) -> None:
    page.open(URL)
    page.wait("location.pathname.startsWith('/auth/login') && !!document.querySelector('#password')")
    page.type("#username", "admin")
    page.type("#password", password)
    page.click("input[type=submit]")


def test_a_wrong_password_is_told_and_shows_nothing(page: Browser) -> None:
    log_in(page, "not the password")
    page.wait("document.body.innerText.includes('Invalid login')")
    assert page.script("return location.pathname").startswith("/auth/login")
    page.open(f"{URL}/dags/canary_default/runs")
    page.wait("location.pathname.startsWith('/auth/login') && !!document.querySelector('#password')")
    assert "canary" not in page.text()


def test_the_canary_is_green(page: Browser, password: str, tmp_path: Path) -> None:
    log_in(page, password)
    page.wait("location.pathname === '/' && document.body.innerText.includes('Dag')")
    page.open(f"{URL}/dags/canary_default/runs")
    newest = page.wait("(row => row?.includes('Success') && row)(document.querySelector('tbody tr')?.innerText)")
    assert "proof-" in newest, newest
    assert page.wait(COLOUR_OF_SUCCESS) == "green"
    # The grid beside the table is drawn last.
    page.wait("document.body.innerText.includes('deferred')")
    picture = Path(os.environ.get("AIRFLOW_TEST_SCREENSHOT", tmp_path / "ui.png"))
    page.screenshot(picture)
    assert picture.stat().st_size > 10_000
