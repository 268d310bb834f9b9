"""The report's words: every sentence and every number is made here from the records, so that none
can say more than they do.

Claims are rounded against us: an epsilon, a delta and what an attacker can reach are rounded up,
never to nearest. Whatever a record of somebody else holds is written somehow: what is no number as
such.
"""

from __future__ import annotations

import math

from synthrec.audit.record import AttackBound, AuditRecord, Figure, Membership, Utility, Verdict
from synthrec.report.edition import missing_parts
from synthrec.report.record import ReleaseRecord


def number(value: float, *, digits: int = 3) -> str:
    """Fixed decimals, thousands apart, infinity as a sign."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:,.{digits}f}".replace("-", "−")


def short(value: float) -> str:
    """Four significant digits at most, for parameters whose scale varies."""
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:{',.4g' if abs(value) < 1e4 else ',.0f'}}".replace("-", "−")
    return number(value) if math.isinf(value) else delta(value)


def rounded_up(value: float, *, digits: int = 2) -> str:
    """For figures of a claim: never smaller than the value."""
    scale = 10**digits
    if not math.isfinite(value * scale):
        return number(value)
    return number(math.ceil(value * scale - 1e-9) / scale, digits=digits)


def delta(value: float) -> str:
    """1e-5 as people write it on the command line."""
    if not math.isfinite(value):
        return number(value)
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def when(created_utc: str) -> str:
    """2026-03-04T10:15:00Z as people write it."""
    day, _, time = created_utc.partition("T")
    return f"{day} {time[:5]} UTC" if time else created_utc


def percent(value: float, *, digits: int = 0) -> str:
    """A share as a percentage."""
    return f"{number(100 * value, digits=digits)} %"


def interval(figure: Figure, *, digits: int = 3, as_percent: bool = False) -> str:
    """The confidence interval of a figure."""
    scale, unit = (100, " %") if as_percent else (1, "")
    low, high = (number(scale * end, digits=digits) for end in (figure.low, figure.high))
    return f"{low} to {high}{unit}"


MODEL_WORDS = {
    "gan": "a conditional GAN trained with DP-SGD, anchored to noisy measurements",
    "moments": "noisy moments of users' tastes, without a GAN",
    "marginals": "noisy marginals, without tastes and without a GAN",
}
# what a verdict means, in words that claim no more than was done
VERDICT_WORDS = {
    Verdict.NO_LEAK_FOUND: "The attacks that were run did not tell people in the training data from people outside it.",
    Verdict.INCONCLUSIVE: "The audit could not tell: it would not have found a leak, or what it found has another cause.",
    Verdict.NOT_RUN: "No attack was run, so nothing was measured.",
    Verdict.LEAK_DETECTED: "The audit finds more about people in the training data than about people outside it. Do not release.",
    Verdict.CLAIM_REFUTED: "An attack does better than the privacy claim allows, so the claim is false. Do not release.",
}


def claim_in_short(release: ReleaseRecord) -> str:
    """The claim in one clause, or that there is none."""
    if release.not_private:
        return "no privacy claim: the noise was deterministic, for tests"
    return f"({rounded_up(release.epsilon)}, {delta(release.delta)})-differential privacy for each user"


def claim(release: ReleaseRecord) -> tuple[str, ...]:
    """The claim in plain sentences. A release with deterministic noise makes none."""
    if release.not_private:
        return (
            "This release makes no privacy claim. Its noise was deterministic, which is a mode for tests: epsilon is infinite. "
            "It must not leave the people who may see the log itself.",
        )
    if missing := missing_parts(release):
        return (
            f"No claim is rendered, for a claim is complete or is not made. Not said: {', '.join(missing)}.",
        )
    sentences = (
        f"The generator and the synthetic log are ({rounded_up(release.epsilon)}, {delta(release.delta)})-differentially private. "
        f"Neighbouring logs differ by one user: {release.neighbouring_relation}, that is everything under one value of “{release.unit}”: "
        "all their events and their row in the users' table.",
        "In other words: whether any one user took part or not, the probability of every possible outcome differs by at most a factor of "
        f"{_factor(release.epsilon)} (e to the power of epsilon), plus delta.",
        f"At most {release.events_per_user:,} events of each user were used, chosen at random before anything else happened.",
    )
    before, cap = release.releases_before, short(release.epsilon_cap)
    earlier = "one earlier release" if before == 1 else f"{before:,} earlier releases"
    together = (
        f"Together with {earlier} of this source, epsilon is {rounded_up(release.ledger_total)} at the same delta. "
        f"The owner's cap is {cap}."
        if before
        else f"It is the first release of this source. The owner's cap for all releases together is {cap}."
    )
    return (*sentences, together)


def why_delta(release: ReleaseRecord) -> str:
    """Why this delta: what it is beside one person in the population."""
    return (
        f"Delta is {short(release.delta * release.population)} divided by the population of {release.population:,} that the owner "
        "declares; a mechanism that published one whole person at random would need a delta of 1 divided by it. It was fixed before the "
        "log was opened, and the private number of users entered nothing."
    )


def for_one_person(release: ReleaseRecord) -> str:
    """What the claim means for one person; empty where there is no claim."""
    if release.not_private or missing_parts(release):
        return ""
    bound = release.bound
    return (
        "For any one person: somebody who sees this release and all earlier releases listed, knows everything about everybody else, and "
        f"raises a false alarm for at most {number(100 * bound.fpr, digits=0)} of 100 people who did not take part, notices that this "
        f"person did with probability at most {rounded_up(100 * bound.tpr, digits=1)} %, provided that the others' taking part does not "
        "depend on this person (proved)."
    )


def verdict(audit: AuditRecord | None) -> tuple[str, str]:
    """The verdict's name and its one sentence."""
    if audit is None:
        return (
            Verdict.NOT_RUN.value,
            "This release was not audited, so nothing was measured. Run `synthrec audit`.",
        )
    return audit.verdict.value, VERDICT_WORDS[audit.verdict]


def in_one_sentence(release: ReleaseRecord, audit: AuditRecord | None) -> str:
    """What the page says before anything else; without an audit to show, what is proved."""
    if release.not_private:
        return claim(release)[0]
    if audit is None:
        return f"{reach(release.bound)} This holds for attacks that nobody has thought of yet, too."
    return VERDICT_WORDS[audit.verdict]


def attack_against_bound(membership: Membership) -> str:
    """One sentence that sets what was measured beside what was proved."""
    attack, bound = membership.strongest, membership.bound
    found = (
        f"At {number(100 * attack.fpr, digits=0)} false alarms in 100, the strongest attack ({attack.name}) recognised "
        f"{percent(attack.tpr.value, digits=1)} of {attack.members:,} members ({interval(attack.tpr, digits=1, as_percent=True)}); "
        f"guessing gives {percent(attack.fpr)}"
    )
    proved = (
        ""
        if bound is None
        else f", and no attacker can reach more than {rounded_up(100 * bound.tpr, digits=1)} % (proved)"
    )
    return f"{found}{proved}."


def planted(membership: Membership) -> str:
    """What share of planted users the same rule finds."""
    power = membership.controls.power
    if power is None:
        return "Training users planted in place of all synthetic users were not found often enough: finding nothing says nothing."
    return (
        f"Training users planted in place of {percent(power)} of the synthetic users, a tenth of their items swapped, are found by the "
        "same rule at least four times in five."
    )


def columns(membership: Membership) -> str:
    """Which columns were looked at value by value, and which not."""
    looked = [column.name for column in membership.columns if column.attacks]
    unseen = [column.name for column in membership.columns if not column.attacks]
    rest = f" No attack looks at {', '.join(unseen)}." if unseen else ""
    return (
        f"Compared with people's own values as they are: {', '.join(looked) or 'no column'}.{rest}"
    )


def utility_in_short(utility: Utility) -> str:
    """How useful, between knowing nothing and having the real log; empty if the ladder has no row
    for the release.
    """
    arms = {arm.name: arm for arm in utility.ladder}
    mine = arms.get("synthrec")
    gap = None if mine is None else mine.gap_closed or mine.ranking_gap_closed
    if mine is None or gap is None:
        return ""
    what = "rating error" if mine.gap_closed else "ranking quality"
    floor = "knowing nothing" if mine.gap_closed else "recommending what is popular"
    text = (
        f"A recommender trained on the synthetic log closes {percent(gap.value)} of the gap in {what} between {floor} and training on the "
        f"real log ({interval(gap, digits=0, as_percent=True)}, {gap.n:,} test users)"
    )
    failed = ", ".join(limit.name for limit in mine.realism if not limit.passed)
    return f"{text}, but the log fails a realism limit: {failed}." if failed else f"{text}."


def versus_simpler(utility: Utility) -> tuple[str, ...]:
    """The release beside the best simpler DP method at equal epsilon, a sentence a measure."""
    labels = {arm.name: arm.label for arm in utility.ladder}
    return tuple(
        f"{each.measure}: {'better' if each.beats else 'not shown to be better'} than {labels.get(each.rival, each.rival)} "
        f"(difference {number(each.difference.value, digits=4)}, {interval(each.difference, digits=4)}, "
        f"{each.difference.n:,} test users; {'below' if each.measure == 'RMSE' else 'above'} zero is better)."
        for each in utility.against
    )


def what_would_change(audit: AuditRecord) -> tuple[str, ...]:
    """What would have led to another verdict, by the thresholds that were fixed before scoring."""
    changes = (
        (
            "leak_auc",
            short,
            "An attack whose AUC lies above {} with its whole interval: a leak.",
        ),
        (
            "leak_risk",
            percent,
            "A risk beyond control above {} with its whole interval: a leak.",
        ),
        (
            "leak_replay_items",
            short,
            "Runs of items repeated from members longer than from people outside by more than {}: a leak.",
        ),
        (
            "tail_level",
            percent,
            "People with the highest scores who are members more often than chance makes them once in {} of audits, or a history copied "
            "whole, or in a part longer than anybody outside shares by chance: a leak.",
        ),
        (
            "planted_share",
            percent,
            "Training users planted in place of {} of the synthetic ones not found often enough: inconclusive.",
        ),
        (
            "copied_share",
            percent,
            "Whole copies in place of {} of the synthetic users not found often enough, or a column that no attack looks at: "
            "inconclusive.",
        ),
        (
            None,
            short,
            "An attack above the proved curve, or a lower bound above the claimed epsilon: the claim is refuted.",
        ),
        (
            "power",
            percent,
            "A planted leak found in fewer than {} of its draws, whatever its size: inconclusive.",
        ),
        (
            "least_users_per_class",
            short,
            "Fewer than {} people in training, outside it, or known to the attacker: inconclusive.",
        ),
    )
    return tuple(
        words if name is None else words.format(written(audit.policy[name]))
        for name, written, words in changes
        if name is None or name in audit.policy
    )


def came_out(release: ReleaseRecord, audit: AuditRecord) -> tuple[str, ...]:
    """Three sentences for the terminal: the claim, the use, the attack."""
    told = (
        claim(release)[0]
        if release.not_private
        else (
            f"{release.synthetic_users:,} synthetic users were made under {claim_in_short(release)}; a second accountant finds "
            f"epsilon {rounded_up(release.epsilon_cross_check)}."
        )
    )
    use = "How useful the synthetic log is was not measured."
    if audit.utility is not None and audit.utility.protocol is not None:
        use = utility_in_short(audit.utility.protocol) or (
            "How useful the synthetic log is could not be told: with these test users, the real log itself is no better than knowing "
            "nothing."
        )
    found = f"{audit.verdict.value}: {VERDICT_WORDS[audit.verdict]}"
    if audit.membership is not None:
        found = f"{found} {attack_against_bound(audit.membership)}"
    return tuple(sentence for sentence in (told, use, found) if sentence)


def reach(bound: AttackBound) -> str:
    """What any attacker can reach at most."""
    return (
        f"No attacker can reach an AUC above {rounded_up(bound.auc, digits=3)}, or recognise more than "
        f"{rounded_up(100 * bound.tpr, digits=1)} % of participants at {number(100 * bound.fpr, digits=0)} false alarms in 100."
    )


def _factor(epsilon: float) -> str:
    factor = math.exp(min(epsilon, 700.0))
    return (
        rounded_up(factor)
        if factor < 10
        else f"{math.ceil(factor):,}"
        if factor < 1e6
        else f"{1.05 * factor:.1e}"
    )
