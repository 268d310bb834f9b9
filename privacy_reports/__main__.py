"""`make reports`: every reference release that is missing, cell by cell, then the pages and the
index of all.

python -m privacy_reports                          what is missing, by the full audit
python -m privacy_reports --only simulated-eps8    one cell, made anew
python -m privacy_reports --pages                  pages and index from the records alone
python -m privacy_reports --data FOLDER --quick    where the public logs are; the quick audit
"""

from __future__ import annotations

import argparse
from pathlib import Path

from privacy_reports.cells import CELLS, HERE, data_folder, make, write_pages
from privacy_reports.index import index
from synthrec.cli.progress import progress_for


def main() -> None:
    """Make what is missing; a log that is not there is named and left out."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("--only", nargs="+", choices=[cell.name for cell in CELLS])
    words.add_argument("--pages", action="store_true")
    words.add_argument("--quick", action="store_true")
    words.add_argument("--data", type=Path)
    asked = words.parse_args()
    for cell in CELLS if not asked.pages else ():
        if (
            asked.only is not None
            and cell.name not in asked.only
            or asked.only is None
            and cell.is_made
        ):
            continue
        if (
            cell.log != "simulated"
            and not (data_folder(asked.data) / f"{cell.log}.csv.gz").exists()
        ):
            print(f"{cell.name}: no {cell.log}.csv.gz in the folder of public logs; left as it is")
            continue
        print(f"{cell.name}", flush=True)
        make(
            cell,
            data=asked.data,
            effort="quick" if asked.quick else "full",
            progress=progress_for(quiet=False),
        )
    made = [cell for cell in CELLS if cell.is_made]
    for cell in made:
        write_pages(cell)
    (HERE / "index.html").write_text(
        index({cell.name: cell.records() for cell in made}), encoding="utf-8"
    )
    print(
        f"{len(made)} of {len(CELLS)} reference releases; {(HERE / 'index.html').name} compares them"
    )


if __name__ == "__main__":
    main()
