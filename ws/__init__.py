"""The socket: frames, one connection, and who is connected here."""
