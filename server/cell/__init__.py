"""The processes in which flake8 looks at files that nobody trusts.

`parent.py` is a process that has flake8 in memory and forks a child for each file; `child.py` is what a child may do,
`source.py` and `checking.py` what it does. Nothing here imports the rest of the server: `server/providers/flake8.py`
starts the parent and talks to it in the frames of `frames.py`.
"""
