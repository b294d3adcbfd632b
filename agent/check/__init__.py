"""`python -m agent check`: tests the whole set-up and reports what is wrong."""
