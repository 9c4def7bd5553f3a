"""The viewer, with a teacher who says below each trace how far the reader's programs are. docs/build.md is his book."""
