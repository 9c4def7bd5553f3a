collect_ignore = ["your_own"]  # run by test_your_own.py, where a reader has it: beside server.py
