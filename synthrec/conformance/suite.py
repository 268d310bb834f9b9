"""The whole suite on one subject, in order; about a minute on two cores."""

from __future__ import annotations

import time

from synthrec import __version__
from synthrec.conformance.accounting import accountants, accounting
from synthrec.conformance.answers import CHARGE, QUICK, NullLedger
from synthrec.conformance.noise import (
    drawn_once,
    noise_of_processes,
    noise_of_sources,
    noise_of_sums,
)
from synthrec.conformance.open_domains import look, look_checks
from synthrec.conformance.record import Check, Conformance
from synthrec.conformance.replay import Release, replay
from synthrec.conformance.sensitivity import sensitivity
from synthrec.conformance.subject import Subject
from synthrec.conformance.training import canaries, noise_of_game, sampling, watch
from synthrec.model.measurements import measure
from synthrec.model.train import one_thread
from synthrec.privacy.ledger import Entry
from synthrec.privacy.session import Session
from synthrec.progress import Progress

FEW = 3  # users of the training whose batches are mostly empty
SILENT = Progress()


def conform(subject: Subject, *, release: Release, progress: Progress = SILENT) -> Conformance:
    """Every check; a failed one is in the record and stops nothing."""
    begun, plan = time.monotonic(), subject.plan
    checks: list[Check] = []
    with (
        one_thread(),
        progress.stage("check the mechanism", total=6 + bool(plan.openings)) as advance,
    ):
        if plan.openings:
            checks += look_checks(subject)
            advance(1, note="looks at open columns")
        checks += sensitivity(subject)
        advance(1, note="sensitivity")
        log = subject.read(subject.events)
        checks += (
            noise_of_sums(subject, log=log)
            + drawn_once(subject, log=log)
            + noise_of_processes()
            + noise_of_sources()
        )
        advance(1, note="noise")
        checks += (
            game_checks(subject)
            if plan.training
            else accountants(charged(subject), delta=plan.delta, asked_for=plan.epsilon)
        )
        advance(3, note="training with canaries")
        checks += replay(subject, release=release)
        advance(1, note="replay")
    return Conformance(
        synthrec_version=__version__,
        subject=subject.name,
        model=plan.model,
        epsilon=plan.epsilon,
        delta=plan.delta,
        checks=tuple(checks),
        seconds=round(time.monotonic() - begun, 1),
    )


def charged(subject: Subject) -> tuple[Entry, ...]:
    """What a training without steps writes to its ledger."""
    ledger = NullLedger()
    look(subject, subject.events, ledger=ledger)
    measure(
        subject.read(subject.events),
        catalogue=subject.catalogue,
        schema=subject.schema,
        progress=SILENT,
        effort=QUICK,
        session=Session(subject.plan, ledger=ledger, charge=CHARGE),
    )
    return ledger.entries


def game_checks(subject: Subject) -> list[Check]:
    """What two watched trainings show: one with canaries in a crowd, one on three users."""
    training = subject.plan.training
    assert training is not None
    crowd, few = watch(subject), watch(subject, users=FEW, canaries=False)
    return [
        *noise_of_game(training, crowd=crowd, few=few),
        *sampling(training, crowd=crowd, few=few),
        *canaries(training, crowd=crowd),
        *accounting(subject.plan, watched=(crowd, few)),
    ]
