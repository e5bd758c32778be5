"""The durable queue: work that must happen is a row, written in the transaction of what it belongs to."""
from server.jobs.model import Decision, Done, Failed, Handler, Job, Retry, RetryPolicy
from server.jobs.queue import Queue
from server.jobs.worker import Worker

__all__ = ["Decision", "Done", "Failed", "Handler", "Job", "Queue", "Retry", "RetryPolicy", "Worker"]
