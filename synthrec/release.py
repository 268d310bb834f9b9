"""The release folder: what may leave in `share/`, what stays in `private/`, and how both come into
being whole.

Guarantees: a release is built beside its place and renamed at the end, so no half release is taken
for whole; `private/` is readable by its owner only; whoever opens a release has checked every
shared file against the manifest.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from synthrec.conformance.record import Conformance
from synthrec.data.files_io import as_its_folder, plain_json, read_bounded, write_no_follow
from synthrec.data.schema import Schema
from synthrec.data.splits import MAX_SHARE
from synthrec.errors import Advice, DataError, ReleaseError
from synthrec.model.checkpoint import is_resumable
from synthrec.report.manifest import joining, settle, verify_manifest
from synthrec.report.record import ReleaseRecord, read_record, write_record

FORMAT_VERSION = 1
LARGEST_ORIGIN, LARGEST_EXCERPT = 1 << 16, 1 << 26
PATHS = ("ledger", "catalogue", "table")


@dataclass(frozen=True)
class Origin:
    """Where a release came from: private, for the audit."""

    config_folder: Path
    audit_share: float
    paths: Mapping[str, str | None] | None = (
        None  # as the configuration writes them; a release of an earlier version carries them
    )

    def placed(self, schema: Schema) -> Schema:
        """The schema of the release, with its files where the owner has them."""
        here = schema.model_copy(update={"folder": self.config_folder})
        return here if self.paths is None else here.with_paths(self.paths)


@dataclass(frozen=True)
class Folder:
    """RELEASE: paths by the names that the contract gives them."""

    path: Path

    @property
    def share(self) -> Path:
        """All that may leave."""
        return self.path / "share"

    @property
    def private(self) -> Path:
        """What stays."""
        return self.path / "private"

    @property
    def events(self) -> Path:
        """The synthetic log."""
        return self.share / "events.parquet"

    @property
    def users(self) -> Path:
        """The synthetic users' attributes."""
        return self.share / "users.parquet"

    @property
    def record_path(self) -> Path:
        """The public record."""
        return self.share / "release.json"

    @property
    def mechanism_path(self) -> Path:
        """What the conformance suite found."""
        return self.share / "mechanism.json"

    @property
    def audit_path(self) -> Path:
        """The audit's record."""
        return self.private / "audit.json"

    @property
    def roles_key(self) -> Path:
        """The key that gives users their roles."""
        return self.private / "roles.key"

    @property
    def bounded(self) -> Path:
        """The bounded log of the members."""
        return self.private / "bounded"

    @property
    def opt_outs(self) -> Path:
        """Users who were left out before anything else."""
        return self.private / "excluded.txt"

    @property
    def checkpoint(self) -> Path:
        """What a training that died is continued from; gone when the release is whole."""
        return self.private / "checkpoint"

    @property
    def is_resumable(self) -> bool:
        """Is there a training that was charged something, or may have been?"""
        return is_resumable(self.checkpoint)

    @property
    def spill(self) -> Path:
        """Where reading may put temporary files."""
        return self.private / "spill"

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
        try:
            if self.private.exists() and stat.S_IMODE(self.private.stat().st_mode) != 0o700:
                self.private.chmod(0o700)  # a copy has forgotten it
        except OSError as error:
            raise ReleaseError(
                "private/ must belong to whoever writes to it",
                found=error.strerror or "another owner",
                remedy="Correct its owner or its permissions.",
            ) from None
        return self.private

    def set_audit_aside(self) -> None:
        """An audit says nothing of a synthetic log that comes after it: no page may show it as if
        it did. Raises DataError.
        """
        self.own_private()
        try:
            if self.audit_path.exists():
                os.replace(self.audit_path, self.audit_path.with_name("audit.earlier.json"))
            (self.private / "report.internal.html").unlink(missing_ok=True)
        except OSError as error:
            raise DataError(
                "the release's private/ must be writable",
                found=error.strerror or "a failed write",
                remedy="Make it writable and run the command again.",
            ) from None

    def record(self) -> ReleaseRecord:
        """release.json."""
        return read_record(self.record_path, kind=ReleaseRecord)

    def mechanism(self) -> Conformance | None:
        """mechanism.json; None where no suite was run."""
        return (
            read_record(self.mechanism_path, kind=Conformance)
            if self.mechanism_path.exists()
            else None
        )

    def write(self, record: ReleaseRecord) -> None:
        """Write release.json and list the shared files anew."""
        with self.joining() as place:
            write_record(record, path=place / self.record_path.name)

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
            return tuple(
                read_bounded(self.share / "ledger.jsonl", most=LARGEST_EXCERPT)
                .decode("utf-8")
                .splitlines()
            )
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
        write_no_follow(self.private / "origin.json", json.dumps(words))

    def keep_private(self, source: Path, *, name: Path) -> None:
        """A copy of a file below private/, for its owner alone."""
        name.unlink(missing_ok=True)
        with open(name, "xb", opener=as_its_folder) as stream:
            stream.write(source.read_bytes())

    def origin(self) -> Origin:
        """Where the release came from. Raises ReleaseError without `private/`."""
        try:
            words = plain_json(read_bounded(self.private / "origin.json", most=LARGEST_ORIGIN))
            paths = words.get("paths")
            origin = Origin(
                config_folder=Path(words["config_folder"]),
                audit_share=float(words["audit_share"]),
                paths=paths,
            )
            if not 0 <= origin.audit_share <= MAX_SHARE:
                raise ValueError
            if paths is not None and (
                set(paths) != set(PATHS)
                or not all(isinstance(path, str | None) for path in paths.values())
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
    place = Path(path)
    return Folder(place.parent if place.name == "share" else place)


@contextmanager
def new_folder(out: Path) -> Iterator[Folder]:
    """A release in the making; it gets its name when all went well. Otherwise it vanishes, unless
    its training can be continued:
    whatever ends it, the error then says how.

    Raises: ReleaseError if something stands there.
    """
    require_absent(out)
    making = Folder(_free_name(out))
    missing = [parent for parent in out.parents if not parent.exists()]
    try:
        with _disk_errors():
            making.path.mkdir(parents=True)
            with _held(making.path):
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
        for parent in (
            () if out.exists() else missing
        ):  # what only a release that did not come to be had needed
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
            found=", ".join(each.path.name for each in left) or "none that no other process holds",
            remedy="Remove all but one." if left else "Start a new one, without --resume.",
        )
    (making,) = left
    try:
        with _disk_errors(), _held(making.path):
            shutil.rmtree(
                making.share, ignore_errors=True
            )  # what was written there is written anew
            making.share.mkdir()
            yield making
            _publish(making, out=out)
    except BaseException as error:
        if making.path.exists():
            error.add_note(how_to_continue(making))
        raise


def how_to_continue(left: Folder) -> Advice:
    """What to do about a release in the making that no process makes."""
    name = left.path.name
    if left.checkpoint.is_dir():
        return Advice(
            f"{name} is left of a training that died; what it was charged is spent. Continue it by the same command and "
            f"`--resume`, or remove that folder: it holds private data."
        )
    return Advice(
        f"{name} is left of a run that died and cannot be continued; what it was charged, if anything, is spent. Remove that "
        f"folder: it holds private data."
    )


def left_folders(out: Path) -> tuple[Folder, ...]:
    """Releases in the making by this name that no living process holds."""
    return tuple(Folder(place) for place in _partial(out) if not _is_held(place))


def remove_left(out: Path) -> int:
    """Remove them, each held meanwhile, so that nobody continues it; how many. Raises OSError."""
    removed = 0
    for place in _partial(out):
        with suppress(BlockingIOError), _held(place):
            shutil.rmtree(place)
            removed += 1
    return removed


def _partial(out: Path) -> list[Path]:
    """Folders named like a release in the making, no links. Whether a process by that number lives
    says nothing: numbers come again.
    """
    name = re.compile(rf"\.{re.escape(out.name)}\.partial-\d+(-\d+)?")
    beside = sorted(out.absolute().parent.iterdir()) if out.absolute().parent.is_dir() else []
    return [
        place
        for place in beside
        if name.fullmatch(place.name) and place.is_dir() and not place.is_symlink()
    ]


def _publish(making: Folder, *, out: Path) -> None:
    require_absent(out)
    making.path.rename(out)
    shutil.rmtree(
        Folder(out).checkpoint, ignore_errors=True
    )  # afterwards, so that a crash in between loses nothing


def _free_name(out: Path) -> Path:
    """One that no run has which died under the same process id."""
    first = out.with_name(f".{out.name}.partial-{os.getpid()}")
    names = (first if again == 0 else first.with_name(f"{first.name}-{again}") for again in count())
    return next(name for name in names if not os.path.lexists(name))


@contextmanager
def _held(place: Path) -> Iterator[None]:
    """Whoever makes a release holds its folder: the system lets go of it when the process is gone,
    however it went.
    """
    handle = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _is_held(place: Path) -> bool:
    try:
        with _held(place):
            return False
    except OSError:
        return True


def require_absent(out: Path) -> None:
    """Raise ReleaseError if something stands there, for a release is never overwritten, or if
    nothing can.
    """
    try:
        left_folders(out)
        out.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ReleaseError(
            "the output folder must be one that can be made",
            found=error.strerror or "a failed look",
            remedy="Choose another --out.",
        ) from None
    raise ReleaseError(
        "the output folder must not exist yet",
        found=f"something at {out.name}",
        remedy="Choose another --out.",
    )


def write_page(path: Path, text: str) -> Path:
    """Write a text beside its place and rename it, so that an old page stays whole until the new
    one is. Raises DataError.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        write_no_follow(beside, text)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise DataError(
            "the release folder must be writable",
            found=f"{path.name}: {error.strerror or 'a failed write'}",
            remedy="Free space, or make the folder writable; nothing was changed.",
        ) from None
    return path


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            "the output folder must be writable",
            found=error.strerror or "a failed write",
            remedy="Free space, or choose another --out. What was charged to the ledger stays charged.",
        ) from None
