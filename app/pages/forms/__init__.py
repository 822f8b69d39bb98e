"""What forms ask for: data by its role, requirements, settings of steps, and the job that a form sends."""
