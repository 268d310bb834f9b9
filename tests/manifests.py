"""A manifest for a folder that no release has made."""

from __future__ import annotations

from pathlib import Path

from synthrec.report.manifest import MANIFEST, joining


def write_manifest(folder: Path) -> Path:
    """List every file below `folder` in `folder/manifest.json`. Raises ReleaseError."""
    with joining(folder):
        pass
    return folder / MANIFEST
