"""What every other room may use: errors, the clock, the log, redaction. Standard library only."""
