"""The audit: a row for each administrative act and each event that concerns safety, in the transaction of what it tells
of."""
