"""Members: sign-up, sessions, passwords, one's own profile."""
