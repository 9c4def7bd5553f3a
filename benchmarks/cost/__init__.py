"""What tracing costs, beside none and beside the automatic one: `make bench`, in about five minutes.

variants      the five programs that are compared, and how each is started
sink          a cheap backend in a process of its own, which counts the spans
run           what names a run
pings         one program alone in a process, and so many pings: what is counted
instructions  how many instructions a ping takes, by valgrind
"""
