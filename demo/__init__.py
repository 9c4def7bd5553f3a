"""`make demo`: the post's two programs, their databases and the viewer, with one command."""
