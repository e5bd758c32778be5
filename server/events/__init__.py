"""The numbered log of what each member must be told, and the nudges that wake whoever listens."""
from server.events.log import Event, EventLog, Page
from server.events.nudges import Listener, Nudges
from server.events.types import EventType

__all__ = ["Event", "EventLog", "EventType", "Listener", "Nudges", "Page"]
