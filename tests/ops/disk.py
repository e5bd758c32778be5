"""A disk that a test can fill: a small one of its own where mounting is allowed, else a limit on the server's files."""
from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.proofs.processes import Stage

SIZE = 24 * 1024**2
_PIECE = 64 * 1024


class Disk:
    """A folder on a disk of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, stage: Stage) -> None:
        """Leaves no room at all."""
        with open(self._ballast, "ab", buffering=0) as file:
            for size in (_PIECE, 512, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    pass

    def free(self, stage: Stage) -> None:
        """Gives the room back."""
        self._ballast.unlink()


class LimitedFiles(Disk):
    """Looks the same to the server: its files cannot grow."""

    def fill(self, stage: Stage) -> None:
        _limit(stage, 4096)

    def free(self, stage: Stage) -> None:
        _limit(stage, resource.RLIM_INFINITY)


def _limit(stage: Stage, size: int) -> None:
    assert stage.server is not None
    most = resource.prlimit(stage.server.handle.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(stage.server.handle.pid, resource.RLIMIT_FSIZE, (size, most))


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """The disk, until the end of the block."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        yield LimitedFiles(folder)
        return
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
