"""The lossless normal form as a step: what every graph gets, and what only a step that is asked for may do."""
