"""Benchmarks: each prints ratios against a baseline measured in the same run, because machines are noisy.

`python -m tests.bench.http`, `python -m tests.bench.push`, `python -m tests.bench.bot`. None of them is a test.
"""
