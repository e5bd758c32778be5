"""Foyer: `python run.py` serves it, `python run.py --help` tells the rest."""
import sys

from server.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
