"""What was computed and is kept, so that a job run again and other trials need not: finished steps, states, arrays."""
