"""The process in which a model is parsed, converted, compressed: one per piece of work, and expendable.

    worker (Celery pool process)          supervise.py: limits, messages, the end
      ├── guard   (own process group)     guard.py: if anything above it dies, everything below dies
      │     └── work                      sandbox.py, then work.py
      └── guard                           started when the work asks for it
            └── a model loaded, two models compared

Only files, one JSON specification, JSON lines and answers to them cross the border; no pickles, no secrets.
"""
