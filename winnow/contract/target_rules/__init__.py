"""What a runtime takes, as data: read, held against a graph, and what comes of that.

`data/NAME.toml` has the facts with their sources, `rules` says what can be such a fact, `graph` what is known of each
node, `onnx_file` reads that from a file without any library, and `check` holds one against the other.
"""
