"""The wheel holds everything: installed outside the checkout, with nothing but what `requirements.lock` lists."""

import json
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import pytest

from tests.cli.processes import create_environment, run, start_command

pytestmark = [pytest.mark.untraced, pytest.mark.proof]
CHECKOUT = Path(__file__).parents[2]
STATIC_FILE = re.compile(r'src="(/graphql/static/[^"]+)"')


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(CHECKOUT)]
    subprocess.run(build, check=True, capture_output=True, cwd=folder, timeout=120)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's own console script, in an environment of its own."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    [site] = home.glob("lib/python*/site-packages")
    _link_locked_packages(site)
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)], check=True, timeout=120)
    return home / "bin" / "tiktok-accounts"


def _link_locked_packages(site: Path) -> None:
    """As they are installed here: no network, and no package of development."""
    names = re.findall(r"^([A-Za-z0-9._-]+)==", (CHECKOUT / "requirements.lock").read_text(), re.MULTILINE)
    for name in names:
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:  # of another platform
            continue
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(distribution(name).locate_file(top))))


@pytest.fixture(scope="module")
def links(command: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What its demo prints."""
    with start_command(tmp_path_factory.mktemp("demo"), "demo", "--json", "--port", "0", command=command) as demo:
        yield json.loads(demo.first_line())


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    package = CHECKOUT / "src" / "tiktok_accounts_gql"
    files = {
        f"tiktok_accounts_gql/{file.relative_to(package)}"
        for file in (*package.rglob("*"), *(package / "operations").iterdir())
        if file.is_file() and "__pycache__" not in file.parts
    }
    held = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == files
    assert "tiktok_accounts_gql/operations/accounts.graphql" in held


def test_nothing_of_the_checkout_is_used(command: Path, tmp_path: Path) -> None:
    python = command.parent / "python"
    code = "import tiktok_accounts_gql as t, sys; print(t.__file__); print(*sys.path, sep='\\n')"
    printed = subprocess.run(
        [python, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=create_environment(),
        timeout=60,
    ).stdout
    assert printed.startswith(str(command.parents[1]))
    assert str(CHECKOUT) not in printed


def test_its_demo_answers(links: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {links['tokens']['alice']}"}
    query = "{ accounts(first: 1) { totalCount edges { node { displayName } } } }"
    answer = httpx.post(links["endpoint"], json={"query": query}, headers=headers, timeout=30)
    assert answer.json()["data"]["accounts"]["totalCount"] == 60


def test_its_graphiql_comes_with_its_files(links: dict[str, Any]) -> None:
    page = httpx.get(links["endpoint"], headers={"Accept": "text/html"})
    files = STATIC_FILE.findall(page.text)
    assert len(files) > 3
    assert "List accounts" in page.text  # of operations/
    for file in files:
        assert httpx.get(httpx.URL(links["endpoint"]).join(file)).status_code == 200, file


def test_it_prints_the_contract(command: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "schema", "print", command=command).stdout == (CHECKOUT / "schema.graphql").read_text()
