"""Drawings for the page, each made of numbers only; words in them are escaped where they are drawn."""
