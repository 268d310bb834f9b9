"""The release folder: what may leave in `share/`, what stays in `private/`, and how both come into
being whole.

Guarantees: a release is built beside its place and renamed at the end, so no half release is taken
for whole; `private/` is readable by its owner only; whoever opens a release has checked every
shared file against the manifest. A purge touches only a folder that holds a release, and in it only
private/; no link is followed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from synthrec.conformance.record import Conformance
from synthrec.data.schema import Schema
from synthrec.data.splits import MAX_SHARE
from synthrec.errors import Advice, DataError, ReleaseError
from synthrec.model.checkpoint import is_resumable
from synthrec.report.manifest import joining, settle, verify_manifest
from synthrec.report.record import ReleaseRecord, read_record, write_record
from synthrec.storage import disk_errors, locked, plain_json, read_bounded, write_atomic

FORMAT_VERSION = 1
MAX_ORIGIN, MAX_EXCERPT = 1 << 16, 1 << 26  # bytes
PATHS = {"ledger", "catalogue", "table"}


@dataclass(frozen=True)
class Origin:
    """Where a release came from: private, for the audit. `paths`: as the configuration has them."""

    config_folder: Path
    audit_share: float
    paths: Mapping[str, str | None]

    def placed(self, schema: Schema) -> Schema:
        """The schema of the release, with its files where the owner has them."""
        return schema.model_copy(update={"folder": self.config_folder}).with_paths(self.paths)


class _Below:
    """A path below a release's folder."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, folder: Folder, _: type[Folder]) -> Path:
        return folder.path / self.name


@dataclass(frozen=True)
class Folder:
    """RELEASE: paths by the names that the contract gives them."""

    path: Path

    share = _Below("share")  # all that may leave
    events = _Below("share/events.parquet")  # the synthetic log
    users = _Below("share/users.parquet")  # the synthetic users' attributes
    record_path = _Below("share/release.json")
    mechanism_path = _Below("share/mechanism.json")  # what the conformance suite found
    private = _Below("private")  # what stays
    audit_path = _Below("private/audit.json")
    roles_key = _Below("private/roles.key")  # gives users their roles
    bounded = _Below("private/bounded")  # the bounded log of the members
    opt_outs = _Below("private/excluded.txt")  # users who were left out before anything else
    # what a training that died is continued from; gone when the release is whole
    checkpoint = _Below("private/checkpoint")
    spill = _Below("private/spill")  # where reading may put temporary files

    @property
    def is_resumable(self) -> bool:
        """Is there a training that was charged something, or may have been?"""
        return is_resumable(self.checkpoint)

    def own_private(self) -> Path:
        """private/ before it is written to: the release's own, and for its owner alone. Raises
        ReleaseError for a link.
        """
        if self.private.is_symlink():
            raise ReleaseError(
                "private/ must be a folder of the release itself",
                found="a link",
                remedy="Remove it by hand.",
            )
        with disk_errors(
            "private/ must belong to whoever writes to it",
            found="another owner",
            remedy="Correct its owner or its permissions.",
            kind=ReleaseError,
        ):
            if self.private.exists() and self.private.stat().st_mode & 0o7777 != 0o700:
                self.private.chmod(0o700)  # a copy has forgotten it
        return self.private

    def set_audit_aside(self) -> None:
        """An audit says nothing of a synthetic log that comes after it: no page may show it as if
        it did. Raises DataError.
        """
        self.own_private()
        with disk_errors(
            "the release's private/ must be writable",
            remedy="Make it writable and run the command again.",
            kind=DataError,
        ):
            if self.audit_path.exists():
                os.replace(self.audit_path, self.audit_path.with_name("audit.earlier.json"))
            (self.private / "report.internal.html").unlink(missing_ok=True)

    def record(self) -> ReleaseRecord:
        """release.json."""
        return read_record(self.record_path, kind=ReleaseRecord)

    def mechanism(self) -> Conformance | None:
        """mechanism.json; None where no suite was run."""
        path = self.mechanism_path
        return read_record(path, kind=Conformance) if path.exists() else None

    def write(self, record: ReleaseRecord) -> None:
        """Write release.json and list the shared files anew."""
        with self.joining() as half:
            write_record(record, path=half / self.record_path.name)

    def joining(self) -> AbstractContextManager[Path]:
        """A folder whose files join share/ and its manifest when all went well."""
        return joining(self.share)

    def verified(self) -> Folder:
        """This folder, its shared files as the manifest says; what a killed command left half done
        is finished. Raises ReleaseError.
        """
        if not self.share.is_dir() or self.share.is_symlink():
            raise ReleaseError(
                "a release must be a folder with share/ in it",
                found="none at the path given",
                remedy="Name a folder that `synthrec fit` or `synthrec run` made.",
            )
        settle(self.share)
        verify_manifest(self.share)
        return self

    def excerpt(self) -> tuple[str, ...]:
        """The lines of ledger.jsonl. Raises ReleaseError."""
        try:
            content = read_bounded(self.share / "ledger.jsonl", most=MAX_EXCERPT)
            return tuple(content.decode("utf-8").splitlines())
        except (OSError, UnicodeDecodeError):
            raise ReleaseError(
                "a release must hold its excerpt of the ledger",
                found="no ledger.jsonl, or one that is no text",
                remedy="Copy the release again from where it was made.",
            ) from None

    def write_origin(self, origin: Origin) -> None:
        """Keep for the audit where the configuration was."""
        words = {
            "format_version": FORMAT_VERSION,
            "config_folder": str(origin.config_folder.resolve()),
            "audit_share": origin.audit_share,
            "paths": origin.paths,
        }
        write_atomic(self.private / "origin.json", json.dumps(words))

    def keep_private(self, source: Path, *, name: Path) -> None:
        """A copy of a file below private/, for its owner alone."""
        write_atomic(name, source.read_bytes())

    def origin(self) -> Origin:
        """Where the release came from. Raises ReleaseError without `private/`."""
        try:
            words = plain_json(read_bounded(self.private / "origin.json", most=MAX_ORIGIN))
            origin = Origin(
                config_folder=Path(words["config_folder"]),
                audit_share=float(words["audit_share"]),
                paths=words["paths"],
            )
            if (
                not 0 <= origin.audit_share <= MAX_SHARE
                or set(origin.paths) != PATHS
                or not all(isinstance(path, str | None) for path in origin.paths.values())
            ):
                raise ValueError
            return origin
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
            raise ReleaseError(
                "an audit needs the private/ folder of the release",
                found="none, or an altered one",
                remedy="Run it where the release was made, before private/ is removed.",
            ) from None


def open_folder(path: Path | str) -> Folder:
    """A release by the path of its folder or of its share/."""
    folder = Path(path)
    return Folder(folder.parent if folder.name == "share" else folder)


@contextmanager
def new_folder(out: Path) -> Iterator[Folder]:
    """A release in the making; it gets its name when all went well. Otherwise it vanishes, unless
    its training can be continued: whatever ends it, the error then says how.

    Raises: ReleaseError if something stands there.
    """
    require_absent(out)
    making = Folder(_free_name(out))
    missing = [parent for parent in out.parents if not parent.exists()]
    try:
        with _disk_errors():
            making.path.mkdir(parents=True)
            with locked(making.path):
                making.private.mkdir(mode=0o700)
                making.share.mkdir()
                yield making
                _publish(making, out=out)
    except BaseException as error:
        if making.is_resumable:
            error.add_note(how_to_continue(making))
        else:
            shutil.rmtree(making.path, ignore_errors=True)
        raise
    finally:
        # what only a release that did not come to be had needed
        for parent in () if out.exists() else missing:
            with suppress(OSError):
                parent.rmdir()


@contextmanager
def resumed_folder(out: Path) -> Iterator[Folder]:
    """The release in the making that a run which died has left. Raises ReleaseError if there is
    none, or more than one.
    """
    require_absent(out)
    left = [folder for folder in left_folders(out) if folder.checkpoint.is_dir()]
    if len(left) != 1:
        raise ReleaseError(
            "one training that died must be there to be continued",
            found=", ".join(folder.path.name for folder in left)
            or "none that no other process holds",
            remedy="Remove all but one." if left else "Start a new one, without --resume.",
        )
    (making,) = left
    try:
        with _disk_errors(), locked(making.path):
            # what was written there is written anew
            shutil.rmtree(making.share, ignore_errors=True)
            making.share.mkdir()
            yield making
            _publish(making, out=out)
    except BaseException as error:
        if making.path.exists():
            error.add_note(how_to_continue(making))
        raise


def how_to_continue(left: Folder) -> Advice:
    """What to do about a release in the making that no process makes."""
    what = (
        "a training that died; what it was charged is spent. Continue it by the same command and "
        "`--resume`, or remove that folder"
        if left.checkpoint.is_dir()
        else "a run that died and cannot be continued; what it was charged, if anything, is spent. "
        "Remove that folder"
    )
    return Advice(f"{left.path.name} is left of {what}: it holds private data.")


def left_folders(out: Path) -> tuple[Folder, ...]:
    """Releases in the making by this name that no living process holds."""
    return tuple(Folder(path) for path in _partial(out) if not _is_held(path))


def remove_left(out: Path) -> int:
    """Remove them, each held meanwhile, so that nobody continues it; how many. Raises OSError."""
    removed = 0
    for path in _partial(out):
        with suppress(BlockingIOError), locked(path):
            shutil.rmtree(path)
            removed += 1
    return removed


@dataclass(frozen=True)
class Purged:
    """How much went."""

    files: int
    stale: int


def purge_private(folder: Folder) -> Purged:
    """Remove private/. Raises ReleaseError for what is no release or has no private/, DataError if
    it cannot be removed.
    """
    private = folder.private
    if private.is_symlink():
        raise ReleaseError(
            "private/ must be a folder of the release itself",
            found="a link",
            remedy="Remove it by hand.",
        )
    folder.verified()
    if not private.is_dir():
        raise ReleaseError(
            "there must be a private/ to remove",
            found="none: purged before, or never here",
            remedy="Nothing to do.",
        )
    try:
        files = sum(path.is_file() for path in private.rglob("*"))
        shutil.rmtree(private)
        stale = remove_left(folder.path.absolute())
    except OSError as error:
        raise DataError(
            "private/ must be removable",
            found=error.strerror or "a failed removal",
            remedy="Correct the permissions and run the command again; part of it may be gone.",
        ) from None
    return Purged(files=files, stale=stale)


def _partial(out: Path) -> list[Path]:
    """Folders named like a release in the making, no links. Whether a process by that number lives
    says nothing: numbers come again.
    """
    name = re.compile(rf"\.{re.escape(out.name)}\.partial-\d+(-\d+)?")
    parent = out.absolute().parent
    return [
        path
        for path in (sorted(parent.iterdir()) if parent.is_dir() else ())
        if name.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    ]


def _publish(making: Folder, *, out: Path) -> None:
    require_absent(out)
    making.path.rename(out)
    # afterwards, so that a crash in between loses nothing
    shutil.rmtree(Folder(out).checkpoint, ignore_errors=True)


def _free_name(out: Path) -> Path:
    """One that no run has which died under the same process id."""
    first = out.with_name(f".{out.name}.partial-{os.getpid()}")
    names = (first.with_name(first.name + (f"-{n}" if n else "")) for n in count())
    return next(name for name in names if not os.path.lexists(name))


def _is_held(folder: Path) -> bool:
    try:
        with locked(folder):
            return False
    except OSError:
        return True


def require_absent(out: Path) -> None:
    """Raise ReleaseError if something stands there, for a release is never overwritten, or if
    nothing can.
    """
    with disk_errors(
        "the output folder must be one that can be made",
        found="a failed look",
        remedy="Choose another --out.",
        kind=ReleaseError,
    ):
        left_folders(out)
        try:
            out.lstat()
        except FileNotFoundError:
            return
    raise ReleaseError(
        "the output folder must not exist yet",
        found=f"something at {out.name}",
        remedy="Choose another --out.",
    )


def write_page(path: Path, text: str) -> Path:
    """Write a text beside its place and rename it, so that an old page stays whole until the new
    one is. Raises DataError.
    """
    with disk_errors(
        "the release folder must be writable",
        name=path.name,
        remedy="Free space, or make the folder writable; nothing was changed.",
        kind=DataError,
    ):
        return write_atomic(path, text)


def _disk_errors() -> AbstractContextManager[None]:
    return disk_errors(
        "the output folder must be writable",
        remedy="Free space, or choose another --out. What was charged to the ledger stays charged.",
        kind=DataError,
    )
