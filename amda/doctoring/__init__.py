"""What is wrong with this installation, since when, and what to do about it."""
