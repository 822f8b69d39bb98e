"""Read a `.pt2` and write it anew, because torch's loader runs what it finds in one.

torch 2.13's `torch.export.load` unpickles weights and constants, evaluates shape expressions (sympy's `sympify` is
`eval`), imports modules that a tree specification names, opens compiled libraries, resolves operators by `getattr`,
and writes the names of values into Python source that it executes. Whether bytes are harmless *to torch* cannot be
told by looking at them with another parser. So they are read once, by parsers of ours, into closed models; and torch
loads an archive that was written from these models.

    upload ─ strict_zip ─ archive ─ json_text ─ schema ──────────────▶ rebuild ─▶ archive of ours ─▶ torch
                                                 ├ expressions   grammar of shape expressions
                                                 ├ operators     those that compute
                                                 ├ tree_spec     tuples, lists, dictionaries
                                                 └ names         identifiers
                            └ payloads   raw tensors: sizes checked, bytes copied

docs/decisions/0017-pt2-is-rebuilt.md lists each place where torch would run something, and what holds there.
"""
