"""What every server process of the model needs: imported once, in the process from which they are forked."""
from __future__ import annotations

import pytest  # noqa: F401 -- multiprocessing imports the main module in each child
import uvloop  # noqa: F401

import server.serve  # noqa: F401
import tests.support  # noqa: F401
from server.sandbox import people

people._load()
