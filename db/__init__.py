"""`python -m db`: the operator's commands, see `callrecord.operator`."""
