"""Planted taste axes come back under the right names, at the right ends, from share/ alone."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from synthrec.cli.main import cli
from synthrec.data.schema import Schema
from synthrec.data.simulator import simulate
from synthrec.errors import DataError, ReleaseError
from synthrec.explain import _Items, _principal, draw_into, explain, taste_axes
from synthrec.model.artifact import Artifact
from synthrec.pipeline import fit
from synthrec.report.taste_axes import TasteAxes, picture
from tests.manifests import write_manifest


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explained")
    schema = Schema.load(simulate(users=300, items=200, seed=5).write(folder, events_per_user=30))
    return fit(
        str(folder / "events.csv"),
        schema=schema,
        epsilon=8,
        delta=1e-4,
        model="moments",
        out=folder / "release",
    )


def planted(release: Path, *, choosing: dict[str, float], rating: dict[str, float]) -> Artifact:
    """The release's generator, with tastes along one direction each: a weight for each feature of
    it.
    """
    artifact = Artifact.load(release / "share")
    names, count = artifact.estimates.feature_names, len(artifact.estimates.feature_names)
    factor = torch.zeros_like(artifact.generator.factor)
    for column, (start, weights) in enumerate(((1, rating), (count + 1, choosing))):
        for name, weight in weights.items():
            factor[start + names.index(name), column] = weight
    with torch.no_grad():
        artifact.generator.factor.copy_(factor)
        artifact.generator.gain.fill_(1.0)
        artifact.generator.effect.zero_()
        for parameter in artifact.generator.residual.parameters():
            parameter.zero_()
    return artifact


def axes_of(artifact: Artifact) -> TasteAxes:
    return taste_axes(
        artifact,
        axes=3,
        items=[f"item {row}" for row in range(artifact.catalogue.size)],
        release_id="r",
    )


def test_planted_axes_are_named_at_the_right_ends(release: Path) -> None:
    artifact = planted(
        release,
        choosing={"genres Horror": -0.3, "popularity": 0.3},
        rating={"genres Musical": 0.2, "year": 0.2},
    )
    found = axes_of(artifact)
    choosing, rating = found.choosing[0], found.rating[0]
    assert choosing.share == pytest.approx(1.0, abs=0.01) and rating.share == pytest.approx(
        1.0, abs=0.01
    )
    assert "popular" in [name.label for name in choosing.high.names] and "Horror" in [
        name.label for name in choosing.low.names
    ]
    ends = [[name.label for name in end.names] for end in (rating.low, rating.high)]
    assert any({"Musical", "new"} <= set(end) for end in ends) and any(
        "old" in end and "Musical" not in end for end in ends
    )
    assert " <-> " in choosing.words
    values, names = artifact.tables.features, artifact.estimates.feature_names
    low, high = (
        [int(item.removeprefix("item ")) for item in end.items]
        for end in (choosing.low, choosing.high)
    )
    score = values[:, names.index("popularity")] - values[:, names.index("genres Horror")]
    assert max(score[low]) < min(score[high])


def test_turning_a_planted_axis_changes_nothing_and_planting_another_one_does(
    release: Path,
) -> None:
    one, turned, other = (
        axes_of(planted(release, choosing=weights, rating={"year": 0.1})).choosing[0].words
        for weights in (
            {"genres Horror": -0.3, "year": 0.3},
            {"genres Horror": 0.3, "year": -0.3},
            {"genres Horror": 0.3, "year": 0.3},
        )
    )
    assert one == turned != other


def test_groups_and_embedding_axes_name_nothing_and_learned_columns_are_explained(
    release: Path,
) -> None:
    artifact = planted(release, choosing={"genres Horror": 0.3}, rating={"year": 0.1})
    names = list(artifact.estimates.feature_names)
    plain = axes_of(artifact)
    assert not any("group" in line or "axis 1 (" in line for line in plain.lines())
    horror = names.index("genres Horror")
    renamed = tuple(
        "pairs 1" if place == names.index("genres Action") else name
        for place, name in enumerate(names)
    )
    features = artifact.estimates.frame.features.copy()
    features[:, renamed.index("pairs 1")] = features[:, horror]
    estimates = artifact.estimates.adding({"frame.features": features}, feature_names=renamed)
    learned = axes_of(replace(artifact, estimates=estimates)).learned
    assert "pairs 1" in [axis.title for axis in learned]
    (axis,) = (axis for axis in learned if axis.title == "pairs 1")
    assert "Horror" in [name.label for name in axis.high.names] and len(axis.high.items) == 3
    assert "pairs" not in axis.words


def test_explain_works_from_the_shared_half_alone_and_shows_titles_on_request(
    release: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "copy"
    shutil.copytree(release / "share", shared / "share")
    out = tmp_path / "taste-axes.svg"
    result = CliRunner().invoke(cli, ["explain", str(shared), "--out", str(out), "--axes", "2"])
    assert result.exit_code == 0, result.output
    assert result.output.count(" <-> ") >= 8 and "The " not in result.output.replace(
        "The widest", ""
    )
    assert ElementTree.fromstring(out.read_text(encoding="utf-8")).tag.endswith("svg")
    titled = explain(shared, axes=1, catalogue=release.parent / "items.csv")
    assert all(item.startswith("The ") for item in titled.choosing[0].high.items)


def test_the_picture_is_the_same_each_time_and_never_replaces_a_file_or_enters_share(
    release: Path, tmp_path: Path
) -> None:
    found = explain(release, axes=3)
    assert picture(found) == picture(explain(release, axes=3))
    assert "<date>" not in picture(found) and "<script" not in picture(found)
    out = draw_into(tmp_path / "axes.svg", found, release=release)
    for name in (out, tmp_path / "axes.png", release / "share" / "axes.svg"):
        with pytest.raises(ReleaseError):
            draw_into(name, found, release=release)


def test_a_release_without_tastes_and_a_catalogue_without_titles_are_refused_in_words(
    release: Path, tmp_path: Path
) -> None:
    artifact = Artifact.load(release / "share")
    arrays = {**artifact.estimates.arrays}
    del arrays["estimates.moment"]
    with pytest.raises(ReleaseError, match="tastes"):
        axes_of(replace(artifact, estimates=replace(artifact.estimates, arrays=arrays)))
    bare = tmp_path / "items.csv"
    bare.write_text(
        "item_id,price\n" + "".join(f"{key},1\n" for key in artifact.catalogue.keys.to_pylist()),
        encoding="utf-8",
    )
    with pytest.raises(DataError, match="titles"):
        explain(release, axes=1, catalogue=bare)


def test_shares_fall_and_stay_within_the_whole(release: Path) -> None:
    found = explain(release, axes=4)
    for axes, rest in ((found.choosing, 0.0), (found.rating, found.bias_share or 0.0)):
        shares = [axis.share or 0.0 for axis in axes]
        assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1 - rest + 1e-9
    assert np.isfinite(found.bias_share or np.nan)


def test_one_feature_is_enough(release: Path) -> None:
    artifact = Artifact.load(release / "share")
    column = artifact.estimates.feature_names.index("popularity")
    tastes = np.random.default_rng(0).standard_normal((50, 1))
    plane = _Items(
        features=artifact.estimates.frame.features[:, [column]],
        share=artifact.estimates.frame.popularity,
        labels=[("obscure", "popular")],
        items=artifact.catalogue.keys.to_pylist(),
    )
    (axis,), _ = _principal(tastes, plane=plane, axes=4, besides=0.0)
    assert axis.share == pytest.approx(1.0) and axis.high.names[0].label == "popular"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("generator.factor", 3e38, False),
        ("frame.features", 1.7e308, False),
        ("frame.features", 0.0, True),
        ("generator.scale", 0.0, True),
        ("generator.factor", 1e-44, True),
    ],
)
def test_extreme_tensors_end_in_a_picture_or_in_our_message(
    release: Path, tmp_path: Path, name: str, value: float, told: bool
) -> None:
    folder = Path(shutil.copytree(release, tmp_path / "release"))
    tensors = load_file(folder / "share" / "generator.safetensors")
    save_file(
        {**tensors, name: np.full_like(tensors[name], value)},
        folder / "share" / "generator.safetensors",
    )
    write_manifest(folder / "share")
    out = tmp_path / "axes.svg"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = CliRunner().invoke(cli, ["explain", str(folder), "--out", str(out)])
    assert said.exit_code == (0 if told else 2) and out.exists() == told, said.output
    assert told or "overflow" in said.output
    assert (
        not told
        or ElementTree.fromstring(out.read_text(encoding="utf-8")) is not None
        and "nan" not in said.output
    )
