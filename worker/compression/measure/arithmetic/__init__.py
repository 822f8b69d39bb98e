"""What a model's nodes are computed in, as the runtime that measured it tells."""
