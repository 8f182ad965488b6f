"""Byleave: an inbox API that the people in the inbox switch on."""
