"""The list of what may go wrong: each number of it is made to happen for real."""
