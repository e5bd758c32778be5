"""People from random-data-api: imported on a schedule, linked with their addresses and cards, and read."""
