"""Tells others of what happened: deliveries that the records keep are signed and sent, to public addresses only."""
