"""What the users of a release differ in: principal axes of their tastes, in the names of item
features. From `share/` alone.

A user's taste is a function of items: what it adds to the log odds of a pick, or to a rating. The
axes are the principal components of these functions over the generator's users, items weighted by
popularity, so that features that say the same thing do not count twice. An axis is named by the
features that correlate with it over items. Post-processing: no log, no cost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from synthrec.data.catalogue import read_public_table
from synthrec.data.columns import ItemNumber, Text
from synthrec.data.files import open_file
from synthrec.data.identifiers import canonical
from synthrec.data.schema import Schema
from synthrec.errors import DataError, ReleaseError
from synthrec.model.artifact import Artifact
from synthrec.model.calibration import behave, draw
from synthrec.release import open_folder
from synthrec.report.taste_axes import Axis, End, Name, TasteAxes, picture

USERS = 20_000  # synthetic ones, to know the generator's tastes by
MAX_NAMES, MAX_ITEMS = 4, 3
MIN_STRENGTH = 0.15  # of a correlation that names an axis
MIN_PART = 0.3  # of the axis' strongest one
KNOWN_SHARE = 0.05  # of the catalogue: examples are among so many most popular items, or MIN_KNOWN
MIN_KNOWN = 100
LEARNED_PREFIX = "pairs "
LEARNED = re.compile(rf"{LEARNED_PREFIX}\d+")
UNNAMED = re.compile(r"group \d+|.* axis \d+( \(.*\))?")
TITLE_NAMES = ("title", "name")


def explain(release: Path, *, axes: int, catalogue: Path | None = None) -> TasteAxes:
    """The widest `axes` axes of choosing and of rating; items are told by id, or by the title that
    `catalogue` gives them.

    Raises ReleaseError for a release without tastes, DataError for a catalogue without titles.
    """
    folder = open_folder(release).verified()
    artifact = Artifact.load(folder.share)
    names = (
        artifact.catalogue.keys.to_pylist()
        if catalogue is None
        else _titles(catalogue, artifact=artifact)
    )
    with np.errstate(all="ignore"):  # what overflows is refused where it ends
        return taste_axes(artifact, axes=axes, items=names, release_id=folder.record().release_id)


def taste_axes(artifact: Artifact, *, axes: int, items: list[str], release_id: str) -> TasteAxes:
    """The axes of a generator; `items` says what each item of the catalogue is called."""
    estimates, frame = artifact.estimates, artifact.estimates.frame
    if estimates.moment is None:
        raise ReleaseError(
            "explain needs a release that learned tastes",
            found="the model marginals, whose users have none",
            remedy="Fit with --model gan or --model moments.",
        )
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((USERS, len(artifact.generator.scale)))
    behaviour = behave(
        artifact.generator,
        latent,
        conditions=draw(estimates, users=USERS, rng=rng),
        estimates=estimates,
    )
    plane = _Items(
        features=frame.features,
        share=frame.popularity,
        labels=[_label(name, schema=artifact.schema) for name in estimates.feature_names],
        items=items,
    )
    choosing, _ = _principal(behaviour.tilt, plane=plane, axes=axes, besides=0.0)
    bias = float(np.var(behaviour.bias + behaviour.slope @ plane.mean))
    rating, total = _principal(behaviour.slope, plane=plane, axes=axes, besides=bias)
    learned = tuple(
        plane.axis(column, title=name, share=None, spread=None)
        for name, column in zip(estimates.feature_names, frame.features.T, strict=True)
        if LEARNED.fullmatch(name)
    )
    return TasteAxes(
        source=artifact.schema.source.name,
        release_id=release_id,
        choosing=choosing,
        rating=rating if total > 0 else (),
        bias_share=bias / total if total > 0 else None,
        learned=learned,
    )


@dataclass(frozen=True)
class _Items:
    """Where axes live.

    Shapes:
        features float64[V, F]; share float64[V], sums to 1; labels: what a feature's low and its
        high end are called, "" for nothing.
    """

    features: np.ndarray
    share: np.ndarray
    labels: list[tuple[str, str]]
    items: list[str]

    @property
    def mean(self) -> np.ndarray:
        """Shapes: float64[F]."""
        return np.asarray(self.share @ self.features)

    def axis(
        self, score: np.ndarray, *, title: str, share: float | None, spread: float | None
    ) -> Axis:
        """The axis on which item v lies at score[v]: known items at either end, the right one that
        of larger scores.

        Shapes:
            score float64[V].
        """
        match = _correlations(score, self.features, share=self.share)
        known = np.argsort(-self.share, kind="stable")[
            : max(MIN_KNOWN, round(KNOWN_SHARE * len(score)))
        ]
        ordered = known[np.argsort(score[known], kind="stable")]
        return Axis(
            title=title,
            share=share,
            spread=spread,
            low=End(
                names=self._names(-match, own=title),
                items=tuple(self.items[v] for v in ordered[:MAX_ITEMS]),
            ),
            high=End(
                names=self._names(match, own=title),
                items=tuple(self.items[v] for v in ordered[::-1][:MAX_ITEMS]),
            ),
        )

    def turned(self, score: np.ndarray) -> np.ndarray:
        """The score or its negative, as both say the same: popular items to the right, if that
        matters, else the strongest feature.

        Shapes:
            float64[V] -> float64[V].
        """
        match = _correlations(score, self.features, share=self.share)
        popular = [
            value for value, (_, high) in zip(match, self.labels, strict=True) if high == "popular"
        ]
        strongest = (
            popular[0]
            if popular and abs(popular[0]) > MIN_STRENGTH
            else match[np.abs(match).argmax()]
        )
        return score if strongest >= 0 else -score

    def _names(self, match: np.ndarray, *, own: str) -> tuple[Name, ...]:
        """Labels of what goes with an end, strongest first; of a number also its low end."""
        strengths: dict[str, float] = {}
        for value, (low, high) in zip(match, self.labels, strict=True):
            label = high if value > 0 else low
            if label and not (LEARNED.fullmatch(own) and label.startswith(LEARNED_PREFIX)):
                strengths[label] = max(strengths.get(label, 0.0), abs(float(value)))
        least = max(MIN_STRENGTH, MIN_PART * max(strengths.values(), default=0.0))
        ordered = sorted(strengths.items(), key=lambda pair: (-pair[1], pair[0]))
        return tuple(
            Name(label=label, strength=min(value, 1.0))
            for label, value in ordered
            if value >= least
        )[:MAX_NAMES]


def _principal(
    tastes: np.ndarray, *, plane: _Items, axes: int, besides: float
) -> tuple[tuple[Axis, ...], float]:
    """The widest axes of users' taste functions, and the variance of these functions plus
    `besides`, which shares are of.

    Shapes:
        tastes float64[B, F].
    """
    centred = plane.features - plane.mean
    root = _root((centred * plane.share[:, None]).T @ centred)
    values, vectors = np.linalg.eigh(_finite(root @ np.atleast_2d(np.cov(tastes.T)) @ root))
    total = float(_finite(values.sum() + besides))
    if values.sum() <= 0:
        return (), 0.0
    widest = np.argsort(-values)[:axes]
    scores = centred @ np.linalg.pinv(root, rcond=1e-6) @ vectors[:, widest]
    return tuple(
        plane.axis(
            plane.turned(scores[:, rank]),
            title=f"axis {rank + 1}",
            share=float(values[each]) / total,
            spread=float(np.sqrt(max(values[each], 0.0))),
        )
        for rank, each in enumerate(widest)
    ), total


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(_finite(matrix))
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


def _correlations(score: np.ndarray, features: np.ndarray, *, share: np.ndarray) -> np.ndarray:
    """Shapes: float64[V], float64[V, F], float64[V] -> float64[F]."""
    score, columns = score - share @ score, features - share @ features
    size = np.sqrt((share @ score**2) * (share @ columns**2))
    return _finite((share * score) @ columns / np.maximum(size, 1e-12))


def _finite(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise ReleaseError(
            "explain needs tastes that can be computed with",
            found="numbers in generator.safetensors that overflow",
            remedy="Get the release again from where it was made.",
        )
    return values


def _label(name: str, *, schema: Schema) -> tuple[str, str]:
    """What a feature's low end and its high end are called; a word is named where it is, not where
    it is not.
    """
    fixed = {"popularity": ("obscure", "popular"), "quality": ("rated low", "rated high")}
    if name in fixed:
        return fixed[name]
    if LEARNED.fullmatch(name):
        return f"{name} left", f"{name} right"
    if UNNAMED.fullmatch(name):
        return "", ""
    declared = schema.item_attributes
    if name in declared and isinstance(declared[name], ItemNumber):
        return ("old", "new") if "year" in name.lower() else (f"low {name}", f"high {name}")
    column = max((each for each in declared if name.startswith(f"{each} ")), key=len, default="")
    word = name.removeprefix(f"{column} ")
    if isinstance(declared.get(column), Text) and word == "year":
        return "old", "new"
    return "", word


def _titles(path: Path, *, artifact: Artifact) -> list[str]:
    """Each item's title, where the file has one, else its id."""
    schema = artifact.schema
    file = open_file(path)
    file.require([schema.item])
    table = read_public_table(path)
    texts = [
        name for name, declared in schema.item_attributes.items() if isinstance(declared, Text)
    ]
    column = next((name for name in (*texts, *TITLE_NAMES) if name in table.column_names), None)
    if column is None:
        raise DataError(
            "a catalogue with titles must have a text column that the schema declares, or title, or name",
            found="none of them",
            remedy="Leave --catalogue out to see item ids.",
        )
    keys = canonical(table[schema.item].combine_chunks()).to_pylist()
    known = dict(zip(keys, pc.cast(table[column], "string").to_pylist(), strict=True))
    return [known.get(key) or key for key in artifact.catalogue.keys.to_pylist()]


def draw_into(out: Path, axes: TasteAxes, *, release: Path) -> Path:
    """Write the picture to a new file outside share/, whose files are listed in a manifest."""
    if out.suffix != ".svg":
        raise ReleaseError(
            "the picture of taste axes is written as .svg",
            found=out.name,
            remedy="Choose such a name.",
        )
    if out.resolve().is_relative_to(open_folder(release).share.resolve()):
        raise ReleaseError(
            "share/ holds the files of its manifest only",
            found="a picture to be written there",
            remedy="Choose a place outside share/.",
        )
    try:
        with out.open("x", encoding="utf-8") as stream:
            stream.write(picture(axes))
    except FileExistsError:
        raise ReleaseError(
            "an output file must not exist yet",
            found=f"{out.name} already there",
            remedy="Choose another name, or remove that file first.",
        ) from None
    except OSError as error:
        raise DataError(
            f"{out.name} must be writable",
            found=f"{error.strerror or 'a failed write'}",
            remedy="Choose another folder.",
        ) from None
    return out
