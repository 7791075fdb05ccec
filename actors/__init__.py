"""The behaviour: one actor per manifest, and what finds, feeds and supervises the actors."""
