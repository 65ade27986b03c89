"""Benchmarks on a whole AMDA of their own: `make bench`; docs/benchmarks.md says how to read them.

A part is a module with `measure(stage, *, rounds, seconds) -> Report`; `__main__.PARTS` lists them.
"""
