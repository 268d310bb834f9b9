"""The catalogue: ids as the owner writes them, compared in one spelling, and a form that a release
can carry.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from synthrec.data.catalogue import Catalogue
from synthrec.data.identifiers import canonical
from synthrec.data.reader import read_log
from synthrec.data.schema import Schema
from synthrec.errors import DataError, ReleaseError
from tests.data import small
from tests.data.small import CONFIG, config, without_tables


def read(folder: Path, content: str, attributes: str = "") -> Catalogue:
    (folder / "items.csv").write_text(content, encoding="utf-8")
    text = without_tables() + (
        "[items]\nindependent_of_log = true\n" + attributes if attributes else ""
    )
    return Catalogue.read(Schema.parse(text, folder=folder))


def test_ids_keep_the_files_order_and_are_whole_numbers_only_if_all_of_them_are(
    tmp_path: Path,
) -> None:
    assert read(tmp_path, "item_id\n30\n10\n20\n").ids.equals(pa.array([30, 10, 20]))
    assert read(tmp_path, "item_id\n007\n10\n").ids.to_pylist() == ["007", "10"]
    assert read(tmp_path, "item_id\nA\n10\n").ids.to_pylist() == ["A", "10"]
    assert read(tmp_path, "item_id\n123456789012345678901\n10\n").ids.type == pa.string()


def test_attributes_are_text_numbers_or_vectors(tmp_path: Path) -> None:
    catalogue = read(
        tmp_path,
        'item_id,title,year,vec,genres\n1,"A ""b"", c\nd",1990,"[1, 2.5]",X|Y\n2,,about 1990,"0 1",\n',
        'title = { type = "text" }\nyear = { type = "numeric" }\nvec = { type = "embedding" }\ngenres = { type = "set" }\n',
    )
    assert catalogue.attributes.to_pydict() == {
        "title": ['A "b", c\nd', None],
        "year": [1990.0, None],
        "vec": [[1.0, 2.5], [0.0, 1.0]],
        "genres": ["X|Y", None],
    }
    assert "2 items" in repr(catalogue)


def test_only_declared_columns_are_kept(tmp_path: Path) -> None:
    assert read(tmp_path, "item_id,popularity\n1,99\n2,98\n").attributes.column_names == []


def test_parquet_and_json_lines_serve_too(tmp_path: Path) -> None:
    frame = pd.DataFrame({"item_id": [3, 1], "vec": [[0.5, 1.0], [2.0, 3.0]]})
    frame.to_parquet(tmp_path / "items.parquet")
    frame.to_json(tmp_path / "items.jsonl", orient="records", lines=True)
    for name in ("items.parquet", "items.jsonl"):
        text = (
            without_tables().replace("items.csv", name)
            + '[items]\nindependent_of_log = true\nvec = { type = "embedding" }\n'
        )
        catalogue = Catalogue.read(Schema.parse(text, folder=tmp_path))
        assert catalogue.ids.to_pylist() == [3, 1] and catalogue.attributes["vec"].to_pylist() == [
            [0.5, 1.0],
            [2.0, 3.0],
        ]


def test_vectors_of_several_lengths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="several lengths"):
        read(tmp_path, "item_id,vec\n1,1 2\n2,1\n", 'vec = { type = "embedding" }\n')


def test_a_list_of_values_is_a_catalogue_without_attributes() -> None:
    for values, ids in (("[3, 1]", [3, 1]), ('["b", "a", 7]', ["b", "a", "7"])):
        catalogue = Catalogue.read(
            Schema.parse(without_tables().replace('catalogue = "items.csv"', f"values = {values}"))
        )
        assert catalogue.ids.to_pylist() == ids and catalogue.attributes.num_columns == 0
    with pytest.raises(DataError, match="duplicate ids"):
        Catalogue.read(
            Schema.parse(without_tables().replace('catalogue = "items.csv"', 'values = ["1", 1]'))
        )


def test_a_release_can_carry_it(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    with_vectors = read(
        tmp_path / "v",
        'item_id,vec,year\nA,"1 2",3\nB,,\n',
        'vec = { type = "embedding" }\nyear = { type = "numeric" }\n',
    )
    plain = Catalogue.read(Schema.parse(CONFIG, folder=small.write_tables(tmp_path / "p")))
    for catalogue in (with_vectors, plain):
        again = Catalogue.from_json(catalogue.to_json())
        assert again.ids.equals(catalogue.ids) and again.attributes.equals(catalogue.attributes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"format_version": 2}',
        '{"format_version": 1, "ids": [1, 1], "attributes": {}, "types": {}}',
        '{"format_version": 1, "ids": [[1]], "attributes": {}, "types": {}}',
        '{"format_version": 1, "ids": [], "attributes": {}, "types": {}}',
        '{"format_version": 1, "ids": [1], "attributes": {"a": ["x", "y"]}, "types": {"a": "text"}}',
        '{"format_version": 1, "ids": [1], "attributes": {"a": ["x"]}, "types": {"a": "number"}}',
        '{"format_version": 1, "ids": [1], "attributes": {"a": ["x"]}, "types": {}}',
        "[" * 100_000,
    ],
)
def test_a_release_with_another_catalogue_is_refused(text: str) -> None:
    with pytest.raises(ReleaseError, match="the catalogue that it was made with"):
        Catalogue.from_json(text)


def test_log_and_catalogue_spell_an_id_in_the_same_way_whatever_its_type(tmp_path: Path) -> None:
    spelled = [
        "7",
        "7.0",
        " 7",
        "-3.00",
        "07",
        "7.5",
        "A.0",
        "1e3",
        "NaN",
        "",
        "null",
        "x y",
        "7.0.0",
        "é",
        "12345678901234567890.0",
    ]
    (tmp_path / "items.csv").write_text("item_id\nnone-of-them\n")
    schema = Schema.parse(without_tables(), folder=tmp_path)
    keys = canonical(pa.array(spelled)).to_pylist()
    catalogue = Catalogue(pa.array(sorted({key for key in keys if key is not None})))
    expected = [
        (place, catalogue.ids.to_pylist().index(key))
        for place, key in enumerate(keys)
        if key is not None
    ]
    frame = pd.DataFrame(
        {
            "user_id": range(len(keys)),
            "item_id": spelled,
            "rating": 3,
            "timestamp": small.START + np.arange(len(keys)),
        }
    )
    frame.to_csv(tmp_path / "log.csv", index=False)
    for log in (frame, tmp_path / "log.csv"):
        found = read_log(log, schema, catalogue, spill=tmp_path / "spill", events_per_user=None)
        assert (
            sorted(zip((found.time - small.START).tolist(), found.item.tolist(), strict=True))
            == expected
        )
    floats = canonical(pa.array([7.0, 7.5, 1e300, float("nan"), None]))
    assert floats.to_pylist()[:2] == ["7", "7.5"] and floats.null_count == 2


def test_an_open_vocabulary_has_no_catalogue_to_read() -> None:
    with pytest.raises(DataError, match="which pays for the list"):
        Catalogue.read(Schema.parse(config(('catalogue = "items.csv"', 'vocabulary = "dp"'))))


def test_json_has_no_value_that_json_does_not_know(tmp_path: Path) -> None:
    catalogue = read(tmp_path, "item_id,year\n1,inf\n2,nan\n3,5\n", 'year = { type = "numeric" }\n')
    assert json.loads(catalogue.to_json())["attributes"]["year"] == [None, None, 5.0]
