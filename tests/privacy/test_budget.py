"""What a ledger adds up to, what is left, what is found wrong; and two processes that want the last
of it.
"""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from synthrec.errors import BudgetError, PlanError
from synthrec.privacy.accounting import Accountant, solve_scale
from synthrec.privacy.budget import (
    LedgerCheck,
    accountants_agree,
    balance_of,
    check_ledger,
    left_under,
    require_budget,
)
from synthrec.privacy.event import Event, gaussian
from synthrec.privacy.ledger import Charge, Kind, Ledger, head_path
from synthrec.privacy.plan import LARGEST_EPSILON
from tests.conftest import REPOSITORY

DELTA = 1e-5
ONE = gaussian(noise_multiplier=2.0, sampling_rate=1.0, count=1)
BLOCK = gaussian(noise_multiplier=3.0, sampling_rate=0.1, count=10)


def charged(
    path: Path,
    release_id: str,
    events: Sequence[Event],
    *,
    kind: Kind = "release",
    planned: int | None = None,
    delta: float | None = DELTA,
) -> Path:
    charge = Charge(source="films", release_id=release_id, kind=kind, planned=planned, delta=delta)
    with Ledger.open(path) as ledger:
        for event in events:
            ledger.charge(charge.entry(mechanism="any", event=event))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """January, February that died after one block, a trial, and the audit's baseline."""
    path = tmp_path / "films.ledger.jsonl"
    charged(path, "january", [ONE, BLOCK, BLOCK], planned=21)
    charged(path, "february", [ONE, BLOCK], planned=21)
    charged(path, "try", [ONE], kind="trial")
    return charged(path, "january-moments", [ONE], kind="internal")


def test_releases_and_trials_compose_as_if_one_user_were_in_all_and_internal_ones_are_only_listed(
    path: Path,
) -> None:
    balance = balance_of(Ledger.read(path).entries, cap=20.0)
    assert balance.epsilon == Accountant([ONE, ONE, ONE, BLOCK, BLOCK, BLOCK]).epsilon(DELTA)
    assert (
        balance.internal_epsilon == Accountant([ONE]).epsilon(DELTA) == balance.accounts[3].epsilon
    )
    assert (
        balance.epsilon > max(account.epsilon for account in balance.accounts)
        and balance.counted == 3
    )
    assert all(
        accountants_agree(account.epsilon, account.cross_check) for account in balance.accounts
    )


def test_an_attempt_that_was_charged_and_died_is_there_and_counts(path: Path) -> None:
    balance = balance_of(Ledger.read(path).entries)
    assert [account.release_id for account in balance.accounts if account.died] == ["february"]
    without = [entry for entry in Ledger.read(path).entries if entry.release_id != "february"]
    assert balance_of(without).epsilon < balance.epsilon


def test_what_is_left_fits_under_the_cap_and_no_more_does(path: Path) -> None:
    entries = Ledger.read(path).counted()
    left, events = left_under(8.0, entries, delta=DELTA), tuple(entry.event for entry in entries)
    assert left > 8.0 - Accountant(events).epsilon(DELTA)  # composition is kinder than addition

    def with_one_of(epsilon: float) -> float:
        low, high = 0.05, 50.0
        while high / low > 1.0001:
            middle = math.sqrt(low * high)
            low, high = (
                (middle, high)
                if Accountant(
                    [gaussian(noise_multiplier=middle, sampling_rate=1.0, count=1)]
                ).epsilon(DELTA)
                > epsilon
                else (low, middle)
            )
        return Accountant(
            [*events, gaussian(noise_multiplier=high, sampling_rate=1.0, count=1)]
        ).epsilon(DELTA)

    assert with_one_of(left * 0.99) <= 8.0 < with_one_of(left * 1.03)
    assert left_under(1.0, entries, delta=DELTA) == 0.0


@pytest.mark.parametrize("cap", [200.0, 1000.0, 1e300])
def test_under_a_cap_beyond_all_plans_one_plan_is_left_and_known_at_once(
    path: Path, cap: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthrec.privacy.budget.cross_check", lambda *_, **__: 0.0)
    begun = time.process_time()
    assert balance_of(Ledger.read(path).entries, cap=cap).left == LARGEST_EPSILON
    assert time.process_time() - begun < 12


def solved(epsilon: float, delta: float) -> Event:
    """A plan of one sum."""
    return gaussian(
        noise_multiplier=solve_scale(
            lambda noise: [gaussian(noise_multiplier=noise, sampling_rate=1.0, count=1)],
            epsilon=epsilon,
            delta=delta,
        ),
        sampling_rate=1.0,
        count=1,
    )


def test_a_plan_with_a_large_delta_does_not_pass_a_cap_that_all_together_pass_at_the_smallest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "synthrec.privacy.budget.cross_check", lambda *_, **__: 0.0
    )  # slow, and not what is asked
    path, later = tmp_path / "l.jsonl", solved(4.5, 3.3e-3)
    charged(path, "first", [solved(8.0, 1e-6)], delta=1e-6)
    with pytest.raises(BudgetError, match=r"11\.8 after this one|delta 1e-06 \(the smallest"):
        require_budget(Ledger.read(path), source="films", events=[later], delta=3.3e-3, cap=9.0)
    charged(path, "second", [later], delta=3.3e-3)
    for delta in (None, 3.3e-3):  # whoever asks at a large delta is not told that the cap holds
        assert any(
            "delta 1e-06, beyond the cap of 9" in text
            for text in found(path, cap=9.0, delta=delta).faults
        )
        assert balance_of(Ledger.read(path).entries, cap=9.0, delta=delta).left == 0.0
    within = balance_of(Ledger.read(path).entries, cap=9.0, delta=3.3e-3)
    assert within.epsilon < 9.0 < within.spent.epsilon  # type: ignore[union-attr]


def test_past_the_cap_is_refused_with_what_is_left_and_so_is_another_source(path: Path) -> None:
    ledger = Ledger.read(path)
    require_budget(ledger, source="films", events=[ONE], delta=DELTA, cap=20.0)
    with pytest.raises(BudgetError, match=r"epsilon_cap = 6.*About [0-9.]+ is left"):
        require_budget(
            ledger,
            source="films",
            events=[gaussian(noise_multiplier=0.3, sampling_rate=1.0, count=1)],
            delta=DELTA,
            cap=6.0,
        )
    with pytest.raises(BudgetError, match="belongs to one source"):
        require_budget(ledger, source="books", events=[], delta=DELTA, cap=20.0)


def test_without_any_delta_epsilon_is_not_made_up(tmp_path: Path) -> None:
    entries = Ledger.read(charged(tmp_path / "ledger.jsonl", "r1", [ONE], delta=None)).entries
    with pytest.raises(PlanError, match="--delta"):
        balance_of(entries)
    assert balance_of(entries, delta=DELTA).epsilon > 0


# verify


def found(path: Path, **more: object) -> LedgerCheck:
    return check_ledger(path, **more)  # type: ignore[arg-type]


def test_a_whole_ledger_has_no_fault(path: Path) -> None:
    check = found(path, cap=20.0, source="films", excerpts=[excerpt(path, "january")])
    assert check.faults == () == check.notes and check.entries == 7


def excerpt(path: Path, release_id: str) -> Path:
    """As a release carries it."""
    place = path.with_name(f"{release_id}.jsonl")
    place.write_text(
        "".join(
            f"{entry.model_dump_json()}\n" for entry in Ledger.read(path).of_release(release_id)
        ),
        encoding="utf-8",
    )
    return place


def test_every_fault_is_named_with_its_line_and_quotes_nothing(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"noise_multiplier":3.0', b'"noise_multiplier":30.0')
    lines[3] = b'{"user_id": "Anna"}\n'
    lines[5] = lines[5].replace(b'"kind":"trial"', b'"kind":"gift"')
    path.write_bytes(b"".join(lines))
    faults = found(path).faults
    assert [text.split(":")[0] for text in faults] == [
        f"{path.name}, line {line}" for line in (2, 4, 6)
    ]
    assert (
        "altered" in faults[0]
        and "another thing" in faults[1]
        and "unknown kind gift" in faults[2]
        and "Anna" not in "".join(faults)
    )


def test_a_removed_line_and_a_missing_end_are_faults(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    assert any("line 3: a broken link" in text for text in found(path).faults)
    path.write_bytes(b"".join(lines[:4]))
    assert any("4 entries where 7 were written" in text for text in found(path).faults)


def test_a_ledger_restored_together_with_its_head_is_found_by_a_release(path: Path) -> None:
    later = excerpt(path, "february")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    head_path(path).unlink()
    check = found(path)
    assert check.faults == () and "would not be noticed" in check.notes[0]
    assert any(
        "2 of 2 entries of release february are not in the ledger" in text
        for text in found(path, excerpts=[later]).faults
    )


def test_an_excerpt_that_was_altered_and_another_source_and_too_much_are_faults(path: Path) -> None:
    altered = excerpt(path, "january")
    altered.write_bytes(
        altered.read_bytes().replace(b'"noise_multiplier":3.0', b'"noise_multiplier":30.0', 1)
    )
    assert any("1 of 3 entries" in text for text in found(path, excerpts=[altered]).faults)
    assert any("another source" in text for text in found(path, source="books").faults)
    assert any("beyond the cap of 2" in text for text in found(path, cap=2.0).faults)


def test_accountants_that_disagree_are_a_fault(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthrec.privacy.budget.cross_check", lambda *_, **__: 0.5)
    assert any("accountants disagree" in text for text in found(path).faults)


@pytest.mark.parametrize(
    ("number", "other"),
    [
        (b'"noise_multiplier":3.0', b'"noise_multiplier":1e-3'),
        (b'"noise_multiplier":3.0', b'"noise_multiplier":1e-150'),
        (b'"sampling_rate":0.1', b'"sampling_rate":1e-150'),
        (b'"count":10', b'"count":1000000000'),
    ],
)
def test_a_line_of_extreme_numbers_is_a_fault_and_found_at_once(
    path: Path, number: bytes, other: bytes
) -> None:
    begun = time.process_time()
    path.write_bytes(path.read_bytes().replace(number, other, 1))
    check = found(path, cap=9.0)
    assert check.faults and time.process_time() - begun < 20
    with pytest.raises(BudgetError):
        Ledger.read(path)


def test_a_whole_ledger_that_no_accountant_ends_on_is_a_fault_and_fits_under_no_cap(
    tmp_path: Path,
) -> None:
    path = charged(
        tmp_path / "l.jsonl", "r", [gaussian(noise_multiplier=1e-3, sampling_rate=1.0, count=1)]
    )
    assert any("epsilon was not computed" in text for text in found(path, cap=1e6).faults)
    with pytest.raises(BudgetError, match="what accountants compute"):
        require_budget(Ledger.read(path), source="films", events=[ONE], delta=DELTA, cap=1e6)


@pytest.mark.parametrize(
    "content", [b"x\n" * (1 << 19), b"[[]" + b",[]" * (1 << 20) + b"]\n", b"\n" * (1 << 19)]
)
def test_a_file_that_is_no_ledger_is_refused_before_it_is_parsed(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "l.jsonl"
    path.write_bytes(content)
    with pytest.raises(BudgetError):
        Ledger.read(path)


# two processes

SPENDER = """
import sys, time
from pathlib import Path
from synthrec.errors import BudgetError
from synthrec.privacy.budget import require_budget
from synthrec.privacy.event import gaussian
from synthrec.privacy.ledger import Charge, Ledger
path, start, locked = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "locked"
event = gaussian(noise_multiplier=1.0, sampling_rate=1.0, count=1)
if not locked:
    import fcntl
    fcntl.flock = lambda *_: None       # the saboteur
print("ready", flush=True)
while not start.exists():
    time.sleep(0.01)
for _ in range(200):
    try:
        with Ledger.open(path) as ledger:
            require_budget(ledger, source="films", events=[event], delta=1e-5, cap=5.0)
            time.sleep(0.5)
            ledger.charge(Charge(source="films", release_id=sys.argv[4], kind="release").entry(mechanism="items", event=event))
            print("spent")
            break
    except BudgetError as error:
        if "one process" not in str(error):
            print(error.rule)
            break
        time.sleep(0.05)
"""


def spenders(path: Path, *, locked: bool) -> list[str]:
    """What two processes say that both want the last of the budget at the same moment."""
    start = path.with_name("start")
    start.unlink(missing_ok=True)
    both = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                SPENDER,
                str(path),
                str(start),
                "locked" if locked else "not",
                name,
            ],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    for each in both:
        assert each.stdout is not None and each.stdout.readline() == "ready\n"
    start.touch()
    return sorted(each.communicate(timeout=120)[0].strip() for each in both)


def test_two_processes_cannot_both_spend_the_last_of_it(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    said = spenders(path, locked=True)
    assert (
        said == ["all releases of a source together must stay within epsilon_cap = 5", "spent"]
        and len(Ledger.read(path).entries) == 1
    )


def test_without_the_lock_both_would_spend_it(tmp_path: Path) -> None:
    assert spenders(tmp_path / "l.jsonl", locked=False) == ["spent", "spent"]
