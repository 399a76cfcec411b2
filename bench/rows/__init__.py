"""The groups of rows, in the order in which a round goes through them."""
