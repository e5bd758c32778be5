"""Python files of members, their versions, and the checks of them by flake8."""
