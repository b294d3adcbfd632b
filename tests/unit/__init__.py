"""Tests without a server: of functions, loops and files, and of models that answer by a script."""
