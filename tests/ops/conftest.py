"""The yard of the jobs, for the server's own chores."""
from tests.jobs.conftest import database, moment, yard

__all__ = ["database", "moment", "yard"]
