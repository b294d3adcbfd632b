"""The operator's command `callrecord` (`python -m db`), and its output."""
