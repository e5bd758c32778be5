"""The bot: a client library for Foyer and an automatic visitor that tries a server and proves what it did."""
