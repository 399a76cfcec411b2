"""One module for each group of rows; suite.py has their order."""
