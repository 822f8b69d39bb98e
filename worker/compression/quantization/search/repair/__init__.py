"""What makes 8 bits collapse, recognised and repaired: nothing is changed that was not measured to help."""
