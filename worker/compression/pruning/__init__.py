"""Which channels of a network go: what each is worth, how many of each group stay, and what that costs."""
