"""The schema: creates it, upgrades it, and finds rules that make it unsafe."""
