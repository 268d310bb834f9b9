"""The report's words: every sentence and every number is made here from the records, so that none
can say more than they do.

Claims are rounded against us: an epsilon, a delta and what an attacker can reach are rounded up,
never to nearest. Whatever a record of somebody else holds is written somehow: what is no number as
such.
"""

from __future__ import annotations

import math
import textwrap

from synthrec.audit.record import (
    Attack,
    AttackBound,
    AuditedUtility,
    AuditRecord,
    Disclosure,
    Figure,
    LowerBound,
    Membership,
    Risk,
    Utility,
    Verdict,
)
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


def wrapped(text: str) -> str:
    """A paragraph of a text file."""
    return "\n".join(textwrap.wrap(text, 100, break_long_words=False)) + "\n"


def plain(text: str) -> str:
    """Names are the owner's: none of their letters is Markdown's."""
    return " ".join(text.translate(MARKDOWN).split())


MARKDOWN = str.maketrans("|`<>", "/'()")
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


def attack_against_bound(membership: Membership) -> str:
    """One sentence that sets what was measured beside what was proved."""
    attack, bound = membership.strongest, membership.bound
    measured = (
        f"At {number(100 * attack.fpr, digits=0)} false alarms in 100, the strongest attack ({attack.name}) recognised "
        f"{percent(attack.tpr.value, digits=1)} of {attack.members:,} members ({interval(attack.tpr, digits=1, as_percent=True)}); "
        f"guessing gives {percent(attack.fpr)}"
    )
    proved = (
        ""
        if bound is None
        else f", and no attacker can reach more than {rounded_up(100 * bound.tpr, digits=1)} % (proved)"
    )
    return f"{measured}{proved}."


def planted(membership: Membership) -> str:
    """What share of planted users the same rule finds."""
    power = membership.controls.power
    return (
        "Training users planted in place of all synthetic users were not found often enough: finding nothing says nothing."
        if power is None
        else f"Training users planted in place of {percent(power)} of the synthetic users, a tenth of their items swapped, are found by the "
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


def in_short(audit: AuditRecord) -> dict[str, str]:
    """What an audit found, a few words a figure: the terminal's summary, and a column where audits
    are compared.
    """
    return {
        **({} if audit.membership is None else _attacks_in_short(audit.membership)),
        **({} if audit.lower_bound is None else {"epsilon is at least": shown(audit.lower_bound)}),
        **({} if audit.disclosure is None else _risks_in_short(audit.disclosure)),
        **({} if audit.utility is None else _use_in_short(audit.utility)),
    }


def _attacks_in_short(membership: Membership) -> dict[str, str]:
    blind, leaks, bound = (
        membership.controls.blind,
        membership.controls.leaks,
        membership.bound,
    )

    def told(attack: Attack) -> str:
        return f"AUC {number(attack.auc.value)} ({interval(attack.auc)}), {attack.name}"

    found = {"strongest attack": told(membership.strongest)}
    if bound is not None:
        found["any attacker, at most"] = f"AUC {rounded_up(bound.auc, digits=3)} (proved)"
    if blind:
        worst = max(blind, key=lambda attack: attack.auc.low)
        found["without the synthetic log"] = told(worst)
    if leaks:
        found["planted copies found"] = ", ".join(
            f"{leak.share:.0%}: {leak.found.value:.0%} of {leak.draws}" for leak in leaks
        )
    for probe in membership.controls.copies:
        words = f"planted: {probe.what}"
        told_before = f"{found[words]}, " if words in found else ""
        found[words] = f"{told_before}{probe.users:,}: {percent(probe.found.value)}"
    if unseen := [column.name for column in membership.columns if not column.attacks]:
        found["columns not attacked"] = ", ".join(unseen)
    return found


def shown(found: LowerBound) -> str:
    """What is proved of epsilon from below."""
    claimed = "" if found.claimed is None else f"; claimed {rounded_up(found.claimed)}"
    return (
        f"{number(found.epsilon, digits=2)} at delta {delta(found.delta)}, {found.confidence:.0%} confidence; "
        f"{found.coined:,} coined users could show {number(found.ceiling, digits=2)} at most{claimed}"
    )


def _risks_in_short(disclosure: Disclosure) -> dict[str, str]:
    worst: dict[str, Risk] = {}
    for risk in sorted(disclosure.risks, key=lambda risk: risk.risk.low):
        worst[risk.name] = risk
    found = {
        f"{name}, worst": f"{percent(risk.risk.value, digits=1)} beyond control "
        f"({interval(risk.risk, digits=1, as_percent=True)}), {risk.setting}"
        for name, risk in sorted(worst.items())
    }
    replay = disclosure.replay
    return found | {
        "items repeated in order": f"members {number(replay.members.value, digits=2)}, longest {replay.longest_member}; "
        f"people outside {number(replay.holdout.value, digits=2)}, longest {replay.longest_holdout}"
    }


def _use_in_short(use: AuditedUtility) -> dict[str, str]:
    found = {}
    arms = {arm.name: arm for arm in use.protocol.ladder} if use.protocol else {}
    if (mine := arms.get("synthrec")) is not None:
        for measure, value, gap in (
            ("RMSE", mine.rmse, mine.gap_closed),
            ("NDCG@10", mine.ndcg, mine.ranking_gap_closed),
        ):
            if value is not None:
                closed = f"; {percent(gap.value)} of the gap closed" if gap else ""
                found[measure] = f"{number(value.value)} ({interval(value)}){closed}"
        failed = ", ".join(limit.name for limit in mine.realism if not limit.passed)
        found["realism"] = f"fails {failed}" if failed else "within all limits"
    for agreement in () if use.panel is None else use.panel.agreements[:1]:
        found["order of recommenders"] = (
            f"Kendall's tau {number(agreement.tau.value, digits=2)} ({interval(agreement.tau, digits=2)})"
        )
    if use.fidelity:
        apart = [row for row in use.fidelity if row.distance > (row.halves_highest or 0.0)]
        found["likeness"] = (
            f"{len(use.fidelity) - len(apart)} of {len(use.fidelity)} figures as among real people"
        )
    return found


def came_out(release: ReleaseRecord, audit: AuditRecord) -> tuple[str, str, str]:
    """Three sentences for the terminal: the claim, the use, the attack."""
    told = (
        claim(release)[0]
        if release.not_private
        else (
            f"{release.synthetic_users:,} synthetic users were made under ({rounded_up(release.epsilon)}, {delta(release.delta)})-differential "
            f"privacy for each user; a second accountant finds epsilon {rounded_up(release.epsilon_cross_check)}."
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
    return told, use, found


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
