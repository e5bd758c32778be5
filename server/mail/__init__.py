"""What is sent to members by mail: letters as rows, the links in them, and the job that sends each."""
from server.mail.links import Link, Links
from server.mail.outbox import Outbox

__all__ = ["Link", "Links", "Outbox"]
