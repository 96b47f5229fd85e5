"""The structure of a course as the original has it in memory: relations, data, traversals.

Rules and quirks are those of the original, as far as the two transformers need them.
"""


class Relations:
    """The neighbours of one block, in order."""

    def __init__(self):
        self.parents = []
        self.children = []


class TransformerData:
    """What one transformer noted, of a block or of the course."""

    def __init__(self):
        self.fields = {}


class BlockData:
    """What is known of one block: the fields that were asked for, and what transformers noted."""

    def __init__(self, key):
        self.key = key
        self.fields = {}
        self.transformers = {}


class Structure:
    """A course: its root, the relations of its blocks, their data and that of transformers."""

    def __init__(self, root):
        self.root = root
        self.relations = {root: Relations()}
        self.blocks = {}
        self.transformers = {}

    def __len__(self):
        return len(self.relations)

    def __iter__(self):
        return iter(self.relations)

    def parents(self, key):
        """The parents of a block, none for an absent one."""
        relations = self.relations.get(key)
        return relations.parents if relations else []

    def children(self, key):
        """The children of a block, none for an absent one."""
        relations = self.relations.get(key)
        return relations.children if relations else []

    def add_relation(self, parent, child):
        """Adds an edge, and its ends where they are absent."""
        relations = self.relations
        if parent not in relations:
            relations[parent] = Relations()
        if child not in relations:
            relations[child] = Relations()
        relations[child].parents.append(parent)
        relations[parent].children.append(child)

    def transformer_field(self, key, transformer, name):
        """What a transformer noted of a block; None where it noted nothing."""
        block = self.blocks.get(key)
        if block is None:
            return None
        noted = block.transformers.get(transformer)
        return None if noted is None else noted.fields.get(name)

    def set_transformer_field(self, key, transformer, name, value):
        """Notes something of a block."""
        block = self.blocks.get(key)
        if block is None:
            block = self.blocks[key] = BlockData(key)
        noted = block.transformers.get(transformer)
        if noted is None:
            noted = block.transformers[transformer] = TransformerData()
        noted.fields[name] = value

    def topological(self, accepts=None):
        """Yields blocks after their parents. A block that `accepts` refuses is not yielded, nor
        is what is reached through refused blocks only."""
        results = {}
        stack = [self.root]
        while stack:
            key = stack.pop()
            if key != self.root:
                some = False
                waits = False
                for parent in self.parents(key):
                    result = results.get(parent)
                    if result is None:
                        waits = True
                        break
                    some = some or result
                if waits or not some:
                    continue
            if key in results:
                continue
            stack.extend(reversed(self.children(key)))
            accepted = accepts is None or accepts(key)
            if accepted:
                yield key
            results[key] = accepted

    def post_order(self):
        """Yields blocks after their children."""
        done = set()
        stack = [(self.root, iter(self.children(self.root)))]
        while stack:
            key, children = stack[-1]
            if key in done:
                stack.pop()
                continue
            child = next(children, None)
            if child is not None:
                stack.append((child, iter(self.children(child))))
                continue
            yield key
            done.add(key)
            stack.pop()

    def remove(self, key):
        """Removes a block with its edges and its data. Its descendants stay until `prune`."""
        removed = self.relations[key]
        for child in removed.children:
            self.relations[child].parents.remove(key)
        for parent in removed.parents:
            self.relations[parent].children.remove(key)
        del self.relations[key]
        self.blocks.pop(key, None)

    def remove_where(self, conditions):
        """One traversal for all conditions: the first one that holds removes a block."""

        def stays(key):
            for condition in conditions:
                if condition(key):
                    self.remove(key)
                    return False
            return True

        for _ in self.topological(stays):
            pass

    def prune(self):
        """Forgets the blocks that cannot be reached from the root any more."""
        pruned = Structure(self.root)
        pruned.relations = {}
        for key in self.post_order():
            if key not in pruned.relations:
                pruned.relations[key] = Relations()
            for child in self.children(key):
                if child in pruned.relations:
                    pruned.add_relation(key, child)
        self.relations = pruned.relations
