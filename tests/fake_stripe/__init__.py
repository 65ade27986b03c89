"""A stand-in for Stripe, run as a process of its own: its API, its pages, its clock, its posts.

It knows the pinned version's parameters and shapes from the types that Stripe publishes with its
library, and refuses whatever is not in them. It imports nothing of ours.
"""
