"""The questions of `init`: asked on a terminal alone, one for each "?", answered in the owner's words."""

from __future__ import annotations

import os
import pty
import select
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from synthrec.cli.interview import interview
from synthrec.data.columns import EventNumber
from synthrec.data.propose import propose
from synthrec.data.schema import Schema

MARK = "zqxvalue"


def talk(words: list[str], answers: dict[str, str], *, folder: Path) -> tuple[int, str]:
    """Run synthrec on a terminal of its own; a name gets its answer once, all else Enter alone."""
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover
        os.chdir(folder)
        os.execv(sys.executable, [sys.executable, "-m", "synthrec", *words])
    shown, left = b"", dict(answers)
    while select.select([terminal], [], [], 120)[0]:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # the end, on Linux
            break
        prompt = shown.rpartition(b"\n")[2].decode(errors="replace")
        if prompt.endswith(": "):
            name = prompt.strip().split(" [")[0]
            os.write(terminal, left.pop(name, "").encode() + b"\n")
            shown += b"\n"
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


def log(folder: Path, header: str = "customer_id,sku,stars,event_time,hours,extra") -> Path:
    (folder / "log.csv").write_text(f"{header}\n{','.join([MARK] * len(header.split(',')))}\n")
    return folder / "log.csv"


def answered(text: str, *answers: str) -> tuple[str, str]:
    """What is said and shown where the questions get these answers in turn, then Enter."""

    @click.command()
    def ask() -> None:
        click.echo("\0" + interview(text))

    result = CliRunner().invoke(ask, input="\n".join([*answers, *[""] * 30]))
    assert result.exit_code == 0, result.output
    shown, _, said = result.output.partition("\0")
    return said, shown


def test_on_a_terminal_every_question_is_asked_and_no_value_is_shown(tmp_path: Path) -> None:
    path = log(tmp_path)
    answers = {
        "population": "5,000",
        "events_per_user": "50",
        "stars": "1 10 1",
        "hours": "0 24",
        "extra": "number",
    }
    code, shown = talk(["init", str(path)], answers, folder=tmp_path)
    assert code == 0, shown
    text = (tmp_path / "synthrec.toml").read_text()
    assert '= "?"' not in text and MARK not in text + shown
    for name in ("csv, columns customer_id, sku", "PUBLIC", "A small K means less noise"):
        assert name in " ".join(shown.split()), name
    schema = Schema.parse(text, folder=tmp_path)
    schema.require_served()
    schema.require_declared()
    assert (schema.source.population, schema.privacy.events_per_user) == (5_000, 50)
    assert (schema.user, schema.item, schema.item_column.vocabulary) == ("customer_id", "sku", "dp")
    assert schema.rating is not None and schema.rating.size == 10
    assert schema.time is not None and schema.time.bounds == "dp"
    hours = schema.marks["hours"]
    assert isinstance(hours, EventNumber) and (hours.min, hours.max) == (0, 24)


def test_without_a_terminal_or_with_no_input_nothing_is_asked(tmp_path: Path) -> None:
    path, silent = log(tmp_path), tmp_path / "silent.toml"
    code, shown = talk(["init", str(path), "--no-input"], {}, folder=tmp_path)
    assert code == 0 and "[" not in shown.split("Wrote")[0]
    assert (tmp_path / "synthrec.toml").read_text() == propose(str(path), folder=tmp_path)
    assert not silent.exists()


@pytest.mark.parametrize("name", ["population", "stars", "sku"])
def test_a_question_mark_leaves_a_line_open(tmp_path: Path, name: str) -> None:
    text = propose(log(tmp_path, "customer_id,sku,stars"), folder=tmp_path)
    order = ["population", "events_per_user", "sku", "stars"]
    given = {"population": "900", "events_per_user": "9", "sku": "dp", "stars": "1 5 1"}
    said, _ = answered(text, *(("?" if each == name else given[each]) for each in order))
    words = tomllib.loads(said)
    where = words["source"] if name == "population" else words["columns"]
    assert "?" in (where[name] if name == "population" else where[name].values())
    assert said.count('"?"') == text.count('"?"') - {"population": 4, "stars": 2, "sku": 4}[name]


def test_an_answer_that_is_none_is_asked_for_again(tmp_path: Path) -> None:
    text = propose(log(tmp_path, "customer_id,sku"), folder=tmp_path)
    said, shown = answered(text, "many", "800", "", "items.csv")
    words = tomllib.loads(said)
    assert "answer as the question shows" in shown
    assert words["source"]["population"] == 800
    assert words["columns"]["sku"] == {"role": "item", "catalogue": "items.csv"}


def test_columns_that_no_name_tells_get_their_roles_and_the_unit_follows(tmp_path: Path) -> None:
    text = propose(log(tmp_path, "who,what,rest"), folder=tmp_path)
    said, _ = answered(text, "800", "", "user", "item", "dp", "drop")
    words = tomllib.loads(said)
    assert words["privacy"]["unit"] == "who" and words["columns"]["rest"] == {"drop": True}
    Schema.parse(said)


def test_attributes_that_are_not_wanted_leave_the_file(tmp_path: Path) -> None:
    path = log(tmp_path, "customer_id,sku")
    (tmp_path / "users.csv").write_text(f"customer_id,colour,age\n1,{MARK},3\n")
    (tmp_path / "items.csv").write_text("sku,kind\na,x\nb,x\nc,y\nd,y\n")
    said, _ = answered(propose(path, folder=tmp_path), "800", "", "drop", "0 5", "n")
    schema = Schema.parse(said, folder=tmp_path)
    assert list(schema.user_attributes) == ["age"] and schema.user_attributes["age"].size == 5
    assert not schema.item_attributes
    schema.require_declared()


def test_recbole_headers_are_known(tmp_path: Path) -> None:
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    (tmp_path / "ml.inter").write_text(header + "1\t2\t3\t4\n")
    (tmp_path / "ml.item").write_text("item_id:token\tclass:token_seq\n1\tDrama War\n2\tWar\n")
    words = tomllib.loads(propose(str(tmp_path / "ml.inter"), folder=tmp_path))
    assert words["privacy"]["unit"] == "user_id:token"
    assert words["columns"]["item_id:token"] == {"role": "item", "catalogue": "ml.item"}
    assert words["columns"]["timestamp:float"]["type"] == "datetime"


def test_movielens_double_colons_are_written_as_csv_beside_when_asked(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::2::5::978300760\n")
    (tmp_path / "movies.dat").write_bytes(b"2::Caf\xe9 (1990)::Drama|War\n")
    code, shown = talk(["init", "ratings.dat"], {"population": "900"}, folder=tmp_path)
    assert code == 0, shown
    assert (tmp_path / "ratings.csv").read_text().splitlines()[0].startswith("user_id,movie_id")
    assert "Café (1990)" in (tmp_path / "items.csv").read_text()
    words = tomllib.loads((tmp_path / "synthrec.toml").read_text())
    assert words["columns"]["movie_id"] == {"role": "item", "catalogue": "items.csv"}
