"""How long a run takes, side by side, on a machine that does other things too."""
