"""`python -m agent check`: tries the whole set-up and says what is wrong."""
