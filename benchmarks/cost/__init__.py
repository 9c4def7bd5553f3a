"""What tracing costs, beside none and beside the automatic one: `make bench`, in about two minutes.

variants  the five ways to trace that are compared
servers   one server of a variant: its start, its pings, its CPU time
sink      the backend, in a process of its own, which counts the spans
table     measures, and makes the table of docs/cost.md
"""
