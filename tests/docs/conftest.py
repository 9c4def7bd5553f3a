"""What is in your_own/ is run by test_your_own.py, where a reader has it: beside server.py."""

collect_ignore = ["your_own"]
