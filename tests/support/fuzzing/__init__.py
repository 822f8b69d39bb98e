"""Mutations of honest uploads, in all formats, against whoever reads them.

    for mutant in mutants("pt2", Random(0)): outcome = read("pt2", mutant, folder)

Half of them change bytes wherever they stand. The other half know the format: they change one member of an archive,
one value of a JSON document, one field of a protobuf message, and put the rest around it as it should be.
"""

from tests.support.fuzzing.readers import FORMATS, Format, outcome_of, read
from tests.support.fuzzing.seeds import seeds
from tests.support.fuzzing.structured import mutants

__all__ = ["FORMATS", "Format", "mutants", "outcome_of", "read", "seeds"]
