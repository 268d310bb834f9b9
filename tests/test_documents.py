"""What the documents promise is held to: commands that they show parse, doctests run, the version
is one.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from synthrec import __version__
from synthrec.cli.main import cli
from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from tests.conftest import REPOSITORY

DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")])
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
MAX_LINES, MAX_WORDS = 150, 1_200  # of the README: five minutes
NOTEBOOK = REPOSITORY / "examples" / "tutorial.ipynb"


def shown_commands(text: str) -> list[str]:
    """`synthrec ...` lines in fenced blocks, continuation lines joined, comments and placeholders
    in [brackets] left out.
    """
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    commands = (re.sub(r"^\$ ", "", line.strip()).split("  #")[0] for line in lines)
    return [
        re.sub(r"\[[^\]]*\](\.\.\.)?", "", command).strip()
        for command in commands
        if re.match(r"synthrec [a-z]", command)
    ]


def parse(command: str) -> None:
    """Parse without running; raises click.UsageError for a command or option that does not exist."""
    words = shlex.split(command)[1:]
    group: click.Command = cli
    while isinstance(group, click.Group) and words:
        group = group.commands[words.pop(0)]
    group.make_context("synthrec", words)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_a_document_shows_parses(document: object) -> None:
    for command in shown_commands(document.read_text(encoding="utf-8")):  # type: ignore[attr-defined]
        parse(command)


def test_a_command_that_does_not_exist_any_more_would_be_noticed() -> None:
    assert (
        shown_commands(
            "```sh\n$ synthrec fit log.csv --config c.toml \\\n   --budget 3  # spends\n```"
        )
        != []
    )
    with pytest.raises(click.UsageError):
        parse(shown_commands("```\nsynthrec fit log.csv --budget 3\n```")[0])


def test_every_doctest_of_the_package_holds() -> None:
    for path in sorted((REPOSITORY / "synthrec").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if ">>> " in source and ast.get_docstring(ast.parse(source)):
            name = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
            assert doctest.testmod(importlib.import_module(name)).failed == 0, name


def test_citation_and_package_name_the_same_version() -> None:
    assert f"version: {__version__}" in (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")


def test_the_python_that_the_readme_shows_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(users=300, items=80, seed=5).write(tmp_path)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    said: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), said)
    assert blocks and said["again"].record == said["synthesizer"].record  # type: ignore[attr-defined]
    assert (tmp_path / "release" / "share" / "generator.safetensors").exists()


def test_the_quickstart_runs(tmp_path: Path) -> None:
    runpy.run_path(str(REPOSITORY / "examples" / "quickstart.py"))["main"](tmp_path)
    assert [path.name for path in (tmp_path / "release").iterdir()] == ["share"]


SAYS = {
    "share_with_partner": (
        "0 that are not public",
        "7 of 7 checks passed",
        "learned from the synthetic log",
    ),
    "augment_small_log": ("our 60 users, the synthetic ones where ours say little",),
    "audit_other_tool": ("a tool that copies: LEAK DETECTED",),
}


@pytest.mark.parametrize("example", sorted(SAYS))
def test_an_example_runs_and_says_what_came_out(
    example: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "synthrec.audit.verdict.groups_differ", lambda *_, **__: False
    )  # by policy one in twenty of any audits
    runpy.run_path(str(REPOSITORY / "examples" / f"{example}.py"))["main"](tmp_path)
    said = capsys.readouterr().out
    assert all(words in said for words in SAYS[example]), said


def test_the_audit_of_tables_that_the_page_shows_runs_on_300_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = simulate(users=300, items=80, seed=6)
    world.write(tmp_path)
    user = world.events["user_id"]
    side = dict(
        zip(
            world.users["user_id"],
            np.random.default_rng(0).permutation(np.arange(300) % 3),
            strict=True,
        )
    )
    for part, name in enumerate(("members", "holdout", "synthetic")):
        world.events[user.map(side) == part].to_csv(tmp_path / f"{name}.csv", index=False)
    monkeypatch.chdir(tmp_path)
    (command,) = [
        each
        for each in shown_commands((REPOSITORY / "docs" / "audit.md").read_text(encoding="utf-8"))
        if "--synthetic" in each
    ]
    result = CliRunner().invoke(
        cli, [*shlex.split(command)[1:], "--synthetic-users", "users.csv", "--verbose"]
    )
    assert result.exit_code in (0, 1, 3) and "attributes: gender and region" in result.output, (
        result.output
    )
    assert (tmp_path / "audited" / "private" / "audit.json").exists()


def test_every_example_runs_in_the_tests_and_stands_in_the_readme() -> None:
    names = {path.stem for path in (REPOSITORY / "examples").glob("*.py")}
    assert names == {*SAYS, "quickstart"}
    assert all(f"examples/{name}.py" in README for name in names)
    assert "examples/tutorial.ipynb" in README


def test_the_readme_can_be_read_in_five_minutes() -> None:
    assert len(README.splitlines()) <= MAX_LINES and len(README.split()) <= MAX_WORDS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_of_a_document_leads_to_a_file(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
        assert "://" in link or (document.parent / link).exists(), link


def test_the_configurations_of_the_guide_are_served() -> None:
    text = (REPOSITORY / "docs" / "guide.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    for words in map(tomllib.loads, blocks):
        words["columns"] = {"user_id": {"role": "user"}, **words["columns"]}
        source = {"name": "a", "population": 100, "ledger": "a", "epsilon_cap": 1.0}
        privacy = {"events_per_user": 5, "unit": "user_id"}
        Schema.parse({"source": source, "privacy": privacy, **words}).require_served()
    assert len(blocks) == 2


def test_the_pages_build_as_a_site(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    words = ["mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0 and (tmp_path / "index.html").exists(), done.stderr


def test_the_notebook_was_run_to_its_end_and_is_small() -> None:
    cells = [
        cell
        for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    assert not any(each["output_type"] == "error" for cell in cells for each in cell["outputs"])
    assert NOTEBOOK.stat().st_size < 200_000


@pytest.mark.slow
def test_the_notebook_runs() -> None:
    nbformat, nbclient = (pytest.importorskip(name) for name in ("nbformat", "nbclient"))
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=900).execute()
    table = notebook.cells[-2]["outputs"][0]["data"]["text/plain"]
    popular, synthetic, real = (float(line.split()[-1]) for line in table.splitlines()[1:])
    assert popular < synthetic < real + 1, table
