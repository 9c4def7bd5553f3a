"""Beyond the post: what makes the three files right and sturdy. No span starts in here, and no context is carried.

settings     our own environment variables, and what is said at the start
conventions  the attributes of spans, and the names of errors, that OpenTelemetry's semantic conventions ask for
databases    the two clients, bounded in time, with the attributes of their spans
pinging      the client's command line, and its loop
leaving      signals and the last export: nothing is lost, and nobody is kept waiting
"""
