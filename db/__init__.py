"""`python -m db`: the operator's commands, see `callrecord.db`."""
