"""How fast it is, and what holds it up: `augrgb bench`."""
