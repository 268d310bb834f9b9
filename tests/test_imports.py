"""Imports go one way: data, privacy <- model <- pipeline <- cli; audit and report serve any tool's
output.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

LEAVES = {
    "synthrec",
    "synthrec.errors",
    "synthrec.progress",
    "synthrec.records",
    "synthrec.storage",
}
ROOMS = ("data", "privacy", "model", "conformance", "audit", "report", "inspection", "cli")
# the pipeline and its parts: one file each, above the rooms and below the command line
PIPELINE = (
    "pipeline",
    "synthesizer",
    "training",
    "domain_discovery",
    "release",
    "claim",
    "forecast",
    "auditing",
    "comparing",
    "explain",
    "simulate_plan",
)
BELOW_PIPELINE = (
    "synthrec.data",
    "synthrec.privacy",
    "synthrec.model",
    "synthrec.audit",
    "synthrec.report",
    "synthrec.conformance.record",
)
# room -> prefixes of synthrec that it may import, besides itself and LEAVES
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "data": (),
    "privacy": ("synthrec.data",),
    "model": ("synthrec.data", "synthrec.privacy"),
    "conformance": (
        "synthrec.data",
        "synthrec.privacy",
        "synthrec.model",
        "synthrec.domain_discovery",
        "synthrec.training",
        "synthrec.audit.epsilon_bounds",
    ),
    "audit": ("synthrec.data",),
    "report": ("synthrec.data", "synthrec.audit.record", "synthrec.conformance.record"),
    **{part: (*BELOW_PIPELINE, *(f"synthrec.{other}" for other in PIPELINE)) for part in PIPELINE},
    "pipeline": (
        *BELOW_PIPELINE,
        "synthrec.conformance",
        *(f"synthrec.{other}" for other in PIPELINE),
    ),
    "simulate_plan": (
        *BELOW_PIPELINE,
        "synthrec.conformance",
        *(f"synthrec.{other}" for other in PIPELINE),
    ),
    "inspection": (*BELOW_PIPELINE, "synthrec.claim", "synthrec.release"),
    "cli": ("synthrec",),
    "errors": (),
    "records": (),
    "storage": (),
    "progress": (),
    "__init__": (),
    "__main__": ("synthrec.cli",),
}
# package -> the files (or rooms, ending in /) that may import it; other packages are free
ONLY_IN = {
    "ibis": (),
    "duckdb": ("data/reader.py", "domain_discovery.py"),
    "dp_accounting": ("privacy/accounting.py",),
    "torch": ("model/", "privacy/", "conformance/", *(f"{part}.py" for part in PIPELINE)),
    "opacus": ("model/", "privacy/"),
    "opendp": ("privacy/",),
    "matplotlib": ("report/",),
    "jinja2": ("report/",),
    "click": ("cli/",),
    "rich": ("cli/",),
}
FORBIDDEN = ("pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal")


def imported_names(source: str, *, module: str) -> set[str]:
    """Every module that a source file names in an import, wherever the statement stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*package, *((node.module or "").split(".") if node.module else [])])
            names |= (
                {f"{origin}.{alias.name}" for alias in node.names}
                if origin.startswith("synthrec")
                else {origin}
            )
    return names


def violations(files: Mapping[str, str]) -> list[str]:
    """`files` maps a path below synthrec/ to its source; returns one line per import that goes the
    wrong way.
    """
    found = []
    for path, source in sorted(files.items()):
        module = "synthrec." + path.removesuffix(".py").replace("/", ".")
        room = path.split("/")[0].removesuffix(".py")
        if room not in MAY_IMPORT:
            found.append(f"{path}: a room that nobody planned")
            continue
        allowed = (*MAY_IMPORT[room], f"synthrec.{room}")
        for name in sorted(imported_names(source, module=module)):
            top = name.split(".")[0]
            if top == "synthrec":
                leaf = (
                    name in LEAVES
                    or name.rsplit(".", 1)[0] in LEAVES - {"synthrec"}
                    or name == "synthrec.__version__"
                )
                if not leaf and not any(
                    name == prefix or name.startswith(prefix + ".") for prefix in allowed
                ):
                    found.append(f"{path}: imports {name}")
            elif top in FORBIDDEN or (top in ONLY_IN and not path.startswith(ONLY_IN[top])):
                found.append(f"{path}: imports {name}")
    return found


def package_sources() -> dict[str, str]:
    root = REPOSITORY / "synthrec"
    return {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for path in root.rglob("*.py")
    }


def test_imports_go_one_way() -> None:
    assert violations(package_sources()) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("audit/verdict.py", "import torch"),
        ("audit/verdict.py", "from synthrec.model import generator"),
        ("audit/verdict.py", "def f():\n    from ..model.generator import Generator"),
        ("report/render.py", "from synthrec.audit.utility import measure_utility"),
        ("report/render.py", "from synthrec import pipeline"),
        ("data/reader.py", "from synthrec.privacy.plan import Plan"),
        ("data/writer.py", "import ibis"),
        ("privacy/ledger.py", "import dp_accounting.pld"),
        ("privacy/plan.py", "from synthrec.model import encoder"),
        ("model/artifact.py", "import pickle"),
        ("model/adversarial.py", "import synthrec.pipeline"),
        ("pipeline.py", "from synthrec.cli import main"),
        ("model/train.py", "from synthrec.claim import release_record"),
        ("utils/helpers.py", ""),
    ],
)
def test_an_import_in_the_wrong_direction_is_caught(path: str, source: str) -> None:
    assert violations({path: source}), f"{source!r} in {path} went unnoticed"


def test_imports_in_the_right_direction_are_not_flagged() -> None:
    files = {
        "report/render.py": "from synthrec.audit.record import AuditRecord\nfrom synthrec.errors import ReleaseError",
        "report/manifest.py": "from synthrec import __version__",
        "data/reader.py": "import duckdb\nfrom synthrec.data.schema import Schema\nfrom synthrec.progress import Progress",
        "cli/training.py": "def f():\n    from synthrec import pipeline",
    }
    assert violations(files) == []


@pytest.mark.parametrize("statement", ["import synthrec", "import synthrec.cli.main"])
def test_start_up_does_not_load_the_heavy_libraries(statement: str) -> None:
    heavy = "{'torch', 'pandas', 'ibis', 'scipy', 'sklearn', 'matplotlib', 'opacus', 'pyarrow', 'duckdb', 'opendp', 'numpy', 'pydantic'}"
    code = f"import sys; {statement}; loaded = {heavy} & set(sys.modules); print(sorted(loaded)); sys.exit(bool(loaded))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_of_the_package_has_a_first_line_that_says_its_idea() -> None:
    for path, source in package_sources().items():
        docstring = ast.get_docstring(ast.parse(source)) or ""
        assert len(docstring.split("\n")[0]) > 10, f"{path} does not say its idea"


def test_the_rooms_are_the_planned_ones() -> None:
    root = Path(REPOSITORY / "synthrec")
    assert {
        path.name for path in root.iterdir() if path.is_dir() and path.name != "__pycache__"
    } <= set(ROOMS)
