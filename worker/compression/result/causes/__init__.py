"""Why a requirement is not met: the likeliest cause, from what was measured."""
