"""The numbered log of what each member must be told, and the nudges that wake whoever listens."""
from server.events.log import Event, EventLog, Page
from server.events.nudges import Listener, Nudges

__all__ = ["Event", "EventLog", "Listener", "Nudges", "Page"]
