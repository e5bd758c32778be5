"""What operators look at: health, metrics, the API's description, the check of the invariants, housekeeping."""
