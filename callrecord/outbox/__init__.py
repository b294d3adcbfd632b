"""The outbox: one file per call on the local disk, which holds its events until they ship."""
