"""The four programs, and what all of them share."""
