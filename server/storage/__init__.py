"""The only room that knows a database driver. Features see `Database`, `Tx` and `Row` and nothing else."""
from server.storage.base import Channel, Database, Receiver, Row, Size, Tx, drive, member_lock

__all__ = ["Channel", "Database", "Receiver", "Row", "Size", "Tx", "drive", "member_lock"]
