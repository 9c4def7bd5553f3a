"""These files are run by test_your_own.py, where a reader has them: beside server.py."""

collect_ignore_glob = ["*.py"]
