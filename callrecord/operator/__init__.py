"""The operator's command `callrecord` (`python -m db`), and what it prints."""
