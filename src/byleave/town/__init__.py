"""A seeded world of people, their inboxes, what they said and who said yes. See `world.build`."""
