"""`python -I server/cell/__main__.py SECONDS MEMORY CONCURRENCY FOLDER`: the parent; it speaks on stdin and stdout."""
from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # -I leaves out our own folder; at the end, so that nothing of ours stands before what is installed.
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from server.cell.parent import main
    main(sys.argv[1:])
