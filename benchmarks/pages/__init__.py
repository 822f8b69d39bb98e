"""`make bench-pages`: how large the pages are and how soon they are there, on loopback, in Chromium and without it."""
