"""The bot with 500 members, 10 posts and 20 likes each, against its own server; the hashing cost is lowered to 4.

`python -m tests.bench.bot`
"""
from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.processes import ROOT

CONFIG = "[bot]\nnumber_of_users = 500\nmax_posts_per_user = 10\nmax_likes_per_user = 20\nseed = 7\n"


def main() -> None:
    """Runs it and prints the whole time."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "bot.cfg"
        config.write_text(CONFIG)
        begin = time.perf_counter()
        subprocess.run([sys.executable, "run.py", "bot", str(config)], cwd=ROOT, check=True,
                       env={**os.environ, "FOYER_AUTH_BCRYPT_COST": "4"})
        print(f"in all {time.perf_counter() - begin:.1f} s (bcrypt cost 4)")


if __name__ == "__main__":
    main()
