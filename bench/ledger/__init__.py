"""The usage ledger against the bill that the models' own server keeps, over whole calls."""
