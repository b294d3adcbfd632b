"""The front end: its types, and what it does with the tables."""
