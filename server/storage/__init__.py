"""The only room that knows a database driver. Features see `Database`, `Tx` and `Row` and nothing else."""
from server.storage.base import Database, Row, Tx

__all__ = ["Database", "Row", "Tx"]
