"""Give a finished file its name, and never take the name of another."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def publish(beside: Path, target: Path) -> None:
    """Move `beside`, in the same folder, to `target` in one step. Raises FileExistsError if something stands there."""
    try:
        os.link(beside, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))      # a disk without hard links: reserve the name
        os.replace(beside, target)
    beside.unlink(missing_ok=True)
