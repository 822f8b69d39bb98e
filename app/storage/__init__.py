"""Where things live: records (what is known) and blobs (the bytes), behind small ports."""
