"""`plan.html`: what each epsilon brought to simulated people; one page without scripts."""

from __future__ import annotations

import math

from matplotlib.figure import Figure as Canvas

from synthrec.audit.record import Record
from synthrec.report import sentences
from synthrec.report.plots.style import BLUE, GREEN, HAIR, MUTED, VERMILLION, styled, svg
from synthrec.report.render import environment

WORTH = 0.5  # of what would be reached without noise: below, an epsilon is not worth having


class SimulatedLevel(Record):
    """One epsilon: parts of the gap closed, the most that any attacker recognises at 10 false
    alarms in 100, and the expected time of a training on the log. None: not feasible, or not to be scored.
    """

    epsilon: float
    reach: float | None
    ratings: float | None = None
    ranking: float | None = None
    seconds: float | None = None


class SimulatedPlan(Record):
    """What was simulated, and what came of it; levels by epsilon, the one without noise last."""

    source_name: str
    population: int
    simulated_users: int
    items: int
    events_per_user: int
    typical_events: int
    open_columns: bool
    delta: float
    levels: tuple[SimulatedLevel, ...]

    @property
    def measure(self) -> str:
        """What a level is judged by."""
        return "ratings" if any(each.ratings is not None for each in self.levels) else "ranking"

    def sentences(self) -> tuple[str, ...]:
        """The answer in plain words, then what it rests on."""
        gaps = {each.epsilon: getattr(each, self.measure) for each in self.levels}
        finite = [epsilon for epsilon in gaps if math.isfinite(epsilon)]
        most = gaps[math.inf]
        who = f"With {self.population:,} people"
        if most is None or most <= 0:
            said = f"{who}, even without noise the synthetic log is worth no more than knowing nothing."
            return (said, self._about())
        worth = [each for each in finite if (gaps[each] or 0.0) >= WORTH * most]
        if not worth:
            said = f"{who}, no epsilon up to {finite[-1]:g} is worth having: less than half is left of what would be reached without noise."
        elif worth[0] == finite[0]:
            said = f"{who}, epsilon {worth[0]:g} is worth having already."
        else:
            said = f"{who}, nothing below epsilon {worth[0]:g} is worth having."
        lost = [
            f"epsilon {each:g} costs {100 * max(0.0, most - gaps[each]):.0f} points"
            for each in worth
        ]
        if lost:
            said += f" Of what is reached without noise, {', '.join(lost)}."
        return (said, self._about())

    def _about(self) -> str:
        """What was done, and what it cannot say."""
        said = (
            f"This is a simulation: {self.simulated_users:,} people who never lived, with about {self.typical_events} events each on "
            f"{self.items:,} items, went through the pipeline (all but the critic of the GAN). Your log was not opened and nothing was spent. Real people "
            "differ: take figures to be 12 points off either way, and ranking 20."
        )
        if self.simulated_users < self.population:
            said += (
                f" Instead of {self.population:,} people {self.simulated_users:,} were simulated, with noise that is smaller by the "
                "same factor: with more people all figures are somewhat better."
            )
        if self.open_columns:
            said += ' What a column declared "dp" will turn out to hold was supposed: the events that it loses are not in the figures.'
        return said

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Epsilon, gap closed in ratings and in ranking, what an attacker can reach, cost."""
        return [
            (
                f"{each.epsilon:g}" if math.isfinite(each.epsilon) else "no noise",
                _share(each.ratings),
                _share(each.ranking),
                "everybody" if each.reach is None else f"{100 * each.reach:.0f} in 100",
                "not feasible" if each.seconds is None else f"{each.seconds:.0f} s",
            )
            for each in self.levels
        ]


HEAD = ("epsilon", "ratings", "ranking", "an attacker can reach", "training")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


@styled
def picture(plan: SimulatedPlan) -> str:
    """Gap closed over epsilon, with what any attacker can reach."""
    canvas = Canvas(figsize=(6.6, 3.6))
    axes = canvas.add_axes((0.09, 0.14, 0.7, 0.82))
    places = range(len(plan.levels))
    lines = (("ratings", BLUE, "o"), ("ranking", GREEN, "s"), ("reach", VERMILLION, "D"))
    for name, colour, mark in lines:
        points = [
            (place, getattr(each, name))
            for place, each in enumerate(plan.levels)
            if getattr(each, name) is not None
        ]
        if points:
            axes.plot(
                *zip(*points, strict=True), color=colour, marker=mark, linewidth=1.8, clip_on=False
            )
            words = {"reach": "an attacker can\nreach at most"}.get(name, f"gap closed,\n{name}")
            axes.annotate(
                words,
                points[-1],
                xytext=(10, 0),
                textcoords="offset points",
                va="center",
                color=colour,
                annotation_clip=False,
            )
    axes.axhline(0.0, color=HAIR, linewidth=0.8, zorder=0)
    low = min(
        [
            0.0,
            *(each.ranking or 0.0 for each in plan.levels),
            *(each.ratings or 0.0 for each in plan.levels),
        ]
    )
    axes.set(
        ylim=(max(low - 0.05, -1.0), 1.0), xlim=(-0.2, len(plan.levels) - 0.8), xlabel="epsilon"
    )
    axes.set_xticks(list(places), [row[0] for row in plan.rows()])
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.tick_params(colors=MUTED)
    return svg(
        canvas, name="plan", title="What each epsilon brings, and what any attacker can reach"
    )


def plan_page(plan: SimulatedPlan) -> str:
    """The page."""
    return (
        environment()
        .get_template("plan.html.j2")
        .render(plan=plan, head=HEAD, picture=picture(plan), delta=sentences.delta(plan.delta))
    )
