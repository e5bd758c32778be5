"""The only room that knows a database driver. Features see `Database`, `Tx` and `Row` and nothing else."""
from server.storage.base import Database, Receiver, Row, Tx, drive

__all__ = ["Database", "Receiver", "Row", "Tx", "drive"]
