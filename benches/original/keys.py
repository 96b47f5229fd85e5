"""Opaque keys: what the original uses as the keys of all its maps.

A key is an immutable object that is hashed, compared and restored by its parts, in Python, each
time: this is what the original's keys do, with fewer parts and without its checks.
"""


class Key:
    """An immutable object with named parts."""

    __slots__ = ()

    def __setattr__(self, name, value):
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __getstate__(self):
        return self.parts()

    def __setstate__(self, parts):
        for name, part in zip(self.__slots__, parts):
            object.__setattr__(self, name, part)

    def __hash__(self):
        return hash(self.parts())

    def __eq__(self, other):
        return self is other or (type(self) is type(other) and self.parts() == other.parts())


class CourseKey(Key):
    """Which course: organisation, course and run."""

    __slots__ = ("org", "course", "run")

    def __init__(self, org, course, run):
        self.__setstate__((org, course, run))

    @classmethod
    def parse(cls, text):
        """Reads `course-v1:org+course+run`."""
        return cls(*text.removeprefix("course-v1:").split("+"))

    def parts(self):
        """What makes the key."""
        return (self.org, self.course, self.run)

    def __str__(self):
        return f"course-v1:{self.org}+{self.course}+{self.run}"


class UsageKey(Key):
    """Which block of a course: its type and its id."""

    __slots__ = ("course_key", "block_type", "block_id")

    def __init__(self, course_key, block_type, block_id):
        self.__setstate__((course_key, block_type, block_id))

    @classmethod
    def parse(cls, course_key, text):
        """Reads `block-v1:org+course+run+type@type+block@id` of a course that is known."""
        rest, _, block_id = text.rpartition("+block@")
        block_type = rest.rpartition("+type@")[2]
        return cls(course_key, block_type, block_id)

    def parts(self):
        """What makes the key."""
        return (self.course_key, self.block_type, self.block_id)

    def __str__(self):
        course = str(self.course_key).removeprefix("course-v1:")
        return f"block-v1:{course}+type@{self.block_type}+block@{self.block_id}"
