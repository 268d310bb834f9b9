"""The membership attack, per user: does somebody's behaviour lie closer to the synthetic log than it should?

Calibrated nearest user. A profile is the set of items a user has, weighted by inverse document frequency (rare items tell more). A user's
score is the cosine to the nearest synthetic user less the mean cosine to the nearest few reference users, who were in no training: what
is left is closeness that the population does not explain (calibration: Watson, Guo, Cormode, Sablayrolles 2022). Weights and calibration
come from synthetic and reference users only, so under the null members and holdout users are exchangeable.

A pass means something only next to a positive control: `planted_leak` puts slightly altered training users into the synthetic log, and the
same attack must find them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from synthrec.audit import intervals, profiles
from synthrec.audit.record import Attack, AttackBound, Figure, Membership
from synthrec.audit.verdict import conclude
from synthrec.data.eventlog import EventLog

NAME = "calibrated nearest user"
CALIBRATION_NEIGHBOURS = 5
SWAPPED_SHARE = 0.1         # of a planted user's events: their item is another one
ROC_POINTS = 101
TPR_RESAMPLES = 1_000
_BLOCK_CELLS = 10_000_000   # cosines held at once


def audit_membership(*, members: EventLog, holdout: EventLog, reference: EventLog, synthetic: EventLog, items: int, bound: AttackBound,
                     rng: np.random.Generator, fpr: float = 0.1) -> Membership:
    """Attack, positive control and verdict. Needs a holdout user: without one the verdict is NOT RUN, which the caller says."""
    attack = membership_attack(members=members, holdout=holdout, reference=reference, synthetic=synthetic, items=items, fpr=fpr, rng=rng)
    planted = planted_leak(members, synthetic=synthetic, share=1.0, rng=rng)
    control = membership_attack(members=members, holdout=holdout, reference=reference, synthetic=planted, items=items, fpr=fpr, rng=rng)
    conclusion = conclude(attack, control=control, bound=bound)
    return Membership(attack=attack, control=control, bound=bound, verdict=conclusion.verdict, reason=conclusion.reason)


def membership_attack(*, members: EventLog, holdout: EventLog, reference: EventLog, synthetic: EventLog, items: int,
                      rng: np.random.Generator, fpr: float = 0.1) -> Attack:
    """Score every member and holdout user and say how well the scores tell them apart.

    Members, holdout and reference users must have been read alike (same bounding, same domain): a difference between the files is no leak.

    Guarantees: reads private logs; the record's figures on a real log are not differentially private (rule 14).
    """
    weights = inverse_document_frequency(reference, synthetic=synthetic, items=items)
    targets = [_unit_profiles(log, weights=weights) for log in (members, holdout)]
    near, far = (_unit_profiles(log, weights=weights) for log in (synthetic, reference))
    inside, outside = (
        nearest_cosine(target, others=near, neighbours=1) - nearest_cosine(target, others=far, neighbours=CALIBRATION_NEIGHBOURS)
        for target in targets
    )
    return attack_from_scores(NAME, inside=inside, outside=outside, reference=len(reference.offsets) - 1, fpr=fpr, rng=rng)


def attack_from_scores(name: str, *, inside: np.ndarray, outside: np.ndarray, reference: int, fpr: float,
                       rng: np.random.Generator) -> Attack:
    """Any attack as a record, from one score a user: higher says member. Shapes: inside float[M], outside float[H]."""
    m, n = len(inside), len(outside)
    if m == 0 or n == 0:
        raise ValueError(f"an attack needs members and holdout users, found {m} and {n}")
    grid = np.linspace(0.0, 1.0, ROC_POINTS)
    false_rate, true_rate = roc(inside, outside=outside)
    return Attack(
        name=name, auc=intervals.auc(inside, negative=outside), advantage=advantage(inside, outside=outside),
        tpr=tpr_at(inside, outside=outside, fpr=fpr, rng=rng), fpr=fpr, members=m, holdout=n, reference=reference,
        detectable_auc=intervals.detectable_auc(m, n=n),
        roc=tuple((float(rate), float(_read_roc(false_rate[None], true_rate[None], fpr=rate)[0])) for rate in grid),
    )


def inverse_document_frequency(reference: EventLog, *, synthetic: EventLog, items: int) -> np.ndarray:
    """log((1 + users) / (1 + users with the item)) over reference and synthetic users. Shapes: float32[V]."""
    having = sum(profiles.pattern(log, items=items).sum(axis=0) for log in (reference, synthetic))
    users = len(reference.offsets) + len(synthetic.offsets) - 2
    return np.asarray(np.log((1.0 + users) / (1.0 + having)), dtype=np.float32)


def _unit_profiles(log: EventLog, *, weights: np.ndarray) -> sparse.csr_array:
    """Weighted item sets of length one; a user without events keeps an empty row. Shapes: float32[B, V]."""
    matrix = profiles.pattern(log, items=len(weights))
    matrix.data = weights[matrix.indices]
    norm = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    matrix.data = (matrix.data / np.repeat(np.where(norm > 0, norm, 1.0), np.diff(matrix.indptr))).astype(np.float32)
    return matrix


def nearest_cosine(targets: sparse.csr_array, *, others: sparse.csr_array, neighbours: int) -> np.ndarray:
    """Mean cosine of each target to its nearest few others (all of them if they are fewer; zero if there are none).

    Shapes:
        targets [T, V], others [O, V], unit rows -> float64[T].
    """
    if others.shape[0] == 0:
        return np.zeros(targets.shape[0])
    neighbours = min(neighbours, others.shape[0])
    columns = others.T.tocsr()
    block = max(1, _BLOCK_CELLS // others.shape[0])
    found = []
    for first in range(0, targets.shape[0], block):
        cosine = (targets[first:first + block] @ columns).toarray()
        top = cosine.max(axis=1, keepdims=True) if neighbours == 1 else np.partition(cosine, -neighbours, axis=1)[:, -neighbours:]
        found.append(top.mean(axis=1, dtype=np.float64))
    return np.concatenate(found) if found else np.empty(0)


def roc(inside: np.ndarray, *, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rates from (0, 0) to (1, 1); tied scores are one step, so a threshold inside a tie is a coin."""
    cuts, code = np.unique(-np.concatenate((inside, outside)), return_inverse=True)
    steps = [np.bincount(part, minlength=len(cuts)) for part in (code[:len(inside)], code[len(inside):])]
    true_rate, false_rate = (np.concatenate(([0.0], np.cumsum(step) / max(1, step.sum()))) for step in steps)
    return false_rate, true_rate


def tpr_at(inside: np.ndarray, *, outside: np.ndarray, fpr: float, rng: np.random.Generator, resamples: int = TPR_RESAMPLES) -> Figure:
    """True positive rate at a false positive rate; the threshold is found anew in every resample of both classes."""
    false_rate, true_rate = roc(inside, outside=outside)
    value = float(_read_roc(false_rate[None], true_rate[None], fpr=fpr)[0])
    _, code = np.unique(-np.concatenate((inside, outside)), return_inverse=True)
    at_once = max(1, 2_000_000 // len(code))
    drawn = np.concatenate([
        _read_roc(_resampled_rates(code[len(inside):], steps=len(false_rate), count=count, rng=rng),
                  _resampled_rates(code[:len(inside)], steps=len(false_rate), count=count, rng=rng), fpr=fpr)
        for count in (min(at_once, resamples - done) for done in range(0, resamples, at_once))
    ])
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Figure(value=value, low=float(min(low, value)), high=float(max(high, value)), n=len(inside) + len(outside),
                  method=f"bootstrap of members and holdout users, {resamples:,} resamples")


def _resampled_rates(code: np.ndarray, *, steps: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Rates of `count` bootstrap resamples at every step of the joint ROC. Shapes: code int[n] < steps - 1 -> float64[count, steps]."""
    drawn = code[rng.integers(0, len(code), (count, len(code)))] + 1 + steps * np.arange(count)[:, None]
    return np.asarray(np.cumsum(np.bincount(drawn.ravel(), minlength=count * steps).reshape(count, steps), axis=1) / len(code))


def _read_roc(false_rate: np.ndarray, true_rate: np.ndarray, *, fpr: float) -> np.ndarray:
    """TPR at `fpr` of each curve: its last point at or below, then the line to the next. Shapes: float[R, steps] -> float64[R]."""
    rows = np.arange(len(false_rate))
    before = (false_rate <= fpr).sum(axis=1) - 1
    after = np.minimum(before + 1, false_rate.shape[1] - 1)
    width = false_rate[rows, after] - false_rate[rows, before]
    part = np.where(width > 0, (fpr - false_rate[rows, before]) / np.where(width > 0, width, 1.0), 0.0)
    return np.asarray(true_rate[rows, before] + part * (true_rate[rows, after] - true_rate[rows, before]))


def advantage(inside: np.ndarray, *, outside: np.ndarray) -> Figure:
    """Largest TPR - FPR over thresholds; its band is Kolmogorov and Smirnov's, which holds for the best threshold too."""
    false_rate, true_rate = roc(inside, outside=outside)
    value = float((true_rate - false_rate).max())
    band = float(np.sqrt(-np.log(0.025) / 2 * (1 / len(inside) + 1 / len(outside))))
    return Figure(value=value, low=max(0.0, value - band), high=min(1.0, value + band), n=len(inside) + len(outside),
                  method="Kolmogorov-Smirnov band")


def planted_leak(members: EventLog, *, synthetic: EventLog, share: float, rng: np.random.Generator) -> EventLog:
    """The synthetic log with `share` of its users replaced by training users, a tenth of whose items are swapped for popular ones."""
    users, trained = len(synthetic.offsets) - 1, len(members.offsets) - 1
    order = rng.permutation(users)
    planted = int(np.rint(share * users))
    chosen = np.concatenate([rng.permutation(trained) for _ in range(-(-planted // max(1, trained)))] or [np.empty(0, dtype=np.int64)])
    copies = members.select(chosen[:planted])
    swaps = np.ceil(SWAPPED_SHARE * profiles.activity(copies)).astype(np.int64)
    swapped = profiles.random_rank(copies, rng=rng) < swaps[profiles.user_of_event(copies)]
    item = np.array(copies.item, copy=True)
    item[swapped] = rng.choice(item, int(swapped.sum())) if len(item) else item
    leaked = replace(copies, item=item, role=None)
    return EventLog.concat([synthetic.select(order[planted:]), leaked])
