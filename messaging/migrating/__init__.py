"""Bringing vendors over from the systems that AMDA replaces."""
