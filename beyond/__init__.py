"""Beyond the post: what makes the three files right and sturdy, and teaches nothing about tracing.

settings     reads the environment, and says in one line what cannot be used
conventions  the attributes, status codes and error types of the semantic conventions
databases    the two clients, bounded in time, with the attributes of their spans
leaving      signals and the last export: nothing lost, nobody kept waiting

No span starts in here, and no context is carried: those stand in the three files, in full view. They import this
package before any other, so that it has looked at the settings when the SDK reads them.
"""
