"""Tables whose rows are looked up by number: embeddings, the ids that reach them, the heads that are tied to them."""
