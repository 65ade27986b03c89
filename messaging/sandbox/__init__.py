"""A stand-in for Wasender's servers, with a phone to type on.

It runs as a program of its own beside the product, listens on the loopback only, and labels
every answer as a simulation. Nothing it is given ever reaches WhatsApp.
"""
