"""The built wheel holds all that the installed command needs, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


def run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run(
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(out),
        ".",
        cwd=REPOSITORY,
    )
    return next(out.glob("*.whl"))


def test_the_wheel_holds_the_package_its_templates_and_the_licence_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {
        "synthrec/report/templates/report.html.j2",
        "synthrec/report/templates/report.css",
        "synthrec/audit/policy.json",
    } <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"synthrec"}, "no tests, no data"
    assert {Path(name).suffix for name in names if name.startswith("synthrec/")} <= {
        ".py",
        ".j2",
        ".css",
        ".json",
        ".typed",
    }
    data = {
        name
        for name in names
        if name.endswith(".json") and not name.startswith("synthrec/report/schemas/")
    }
    assert data == {"synthrec/audit/policy.json", "synthrec/report/requirements.json"}


def test_the_installed_command_runs_and_renders_from_its_own_files(
    wheel: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
        cwd=tmp_path,
    )
    command = site / "bin" / "synthrec"
    assert "synthrec demo" in run(str(command), "--help", cwd=tmp_path, PYTHONPATH=str(site))
    code = "import synthrec.report.render as r; r.environment().get_template('report.html.j2'); print(r.__file__)"
    assert run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(site)).startswith(str(site))
    log = tmp_path / "log.csv"
    log.write_text(
        "user_id,item_id,rating\n"
        + "\n".join(f"{user},{item},4" for user in range(3) for item in range(5))
        + "\n"
    )
    told = run(
        str(command),
        "init",
        str(log),
        "--out",
        str(tmp_path / "synthrec.toml"),
        cwd=tmp_path,
        PYTHONPATH=str(site),
    )
    assert "Wrote" in told and (tmp_path / "synthrec.toml").exists()
