"""Datasets as streams of feeds: nothing here ever holds more than one batch in memory."""
