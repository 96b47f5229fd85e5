"""How the original stores a course: four parts, pickled as one value and compressed."""

import pickle
import zlib

from structure import Structure


def store(structure):
    """What is stored of a course, and how long it was before it was compressed."""
    parts = (structure.root, structure.relations, structure.blocks, structure.transformers)
    pickled = pickle.dumps(parts, pickle.HIGHEST_PROTOCOL)
    return zlib.compress(pickled), len(pickled)


def read(stored):
    """The course again. Nothing of it can be used before all of it is there."""
    root, relations, blocks, transformers = pickle.loads(zlib.decompress(stored))
    structure = Structure(root)
    structure.relations = relations
    structure.blocks = blocks
    structure.transformers = transformers
    return structure
