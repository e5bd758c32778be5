"""The outside services: one file each, over one HTTP session, behind one pacing and one breaker per service.

Nothing here raises for what the outside does: every call ends in an `Outcome`.
"""
