"""The whole chain from Python, on a small simulated log: declare, plan, fit, sample, save, load.

python examples/quickstart.py FOLDER
"""

import sys
from pathlib import Path

from synthrec import Schema, Synthesizer, plan_release
from synthrec.data.simulator import simulate


def main(folder: Path) -> None:
    """Make a log, learn it privately, and draw people who never lived."""
    config = simulate(users=500, items=100, seed=3).write(
        folder / "log"
    )  # events.csv, users.csv, items.csv, synthrec.toml
    schema = Schema.load(config)  # what the owner declares about the log
    plan = plan_release(schema, epsilon=8, delta=1e-4)  # every constant, before the log is opened

    synthesizer = Synthesizer(schema, plan).fit(
        folder / "log" / "events.csv"
    )  # the only step that spends the budget
    synthetic = synthesizer.sample(users=1_000, seed=7)  # free, as often as you like
    print(synthetic.events.head())
    print(synthetic.users.head())

    synthesizer.save(folder / "release")  # all that may leave, and nothing else
    again = Synthesizer.load(folder / "release")
    assert again.sample(users=1_000, seed=7).events.equals(synthetic.events)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
