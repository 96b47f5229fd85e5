"""Where courses come from: a file that the peers' program exports, or a generator."""

import datetime
import json

from keys import CourseKey, UsageKey
from structure import Structure
from transformers import collect

DATES = ("start", "due", "end")


class Course:
    """A collected course, and the moment at which a visitor looks at it."""

    def __init__(self, structure, keys, now):
        self.structure = structure
        self.keys = keys
        self.now = now


def load(path):
    """The course in a file: its keys by position, and by position their children and fields."""
    with open(path, encoding="utf-8") as file:
        return assemble(json.load(file))


def assemble(exported):
    """A course of what the export says."""
    course_key = CourseKey.parse(exported["course"])
    keys = [UsageKey.parse(course_key, text) for text in exported["keys"]]
    children = exported["children"]
    structure = Structure(keys[exported["root"]])
    # As the original discovers a course: a relation is added, and then the child is walked.
    seen = {exported["root"]}
    stack = [(exported["root"], iter(children[exported["root"]]))]
    while stack:
        block, rest = stack[-1]
        child = next(rest, None)
        if child is None:
            stack.pop()
            continue
        structure.add_relation(keys[block], keys[child])
        if child not in seen:
            seen.add(child)
            stack.append((child, iter(children[child])))
    explicit = {key: with_dates(fields) for key, fields in zip(keys, exported["fields"], strict=True)}
    collect(structure, explicit, with_dates(exported["inherited"]))
    return Course(structure, keys, date(exported["now"]))


def with_dates(fields):
    """The fields, with dates where they are text."""
    return {name: date(value) if name in DATES else value for name, value in fields.items()}


def date(text):
    """A point in time, or none."""
    return None if text is None else datetime.datetime.fromisoformat(text)


def generate(blocks):
    """A course of about `blocks` blocks in the usual shape: sequentials of 4 verticals, verticals
    of 5 components, 8 chapters. In the form of an export."""
    keys, children, fields = [], [], []

    def add(parent, block_type):
        position = len(keys)
        keys.append(f"block-v1:Bench+Original+run+type@{block_type}+block@{block_type}{position:08x}")
        children.append([])
        own = {"display_name": f"A title of about {position} words"}
        if position % 40 == 7:
            own["visible_to_staff_only"] = True
        if position % 15 == 3:
            own.update(due="2026-06-01T00:00:00Z", hide_after_due=True)
        fields.append(own)
        if parent is None:
            own["start"] = "2025-01-01T00:00:00Z"
        else:
            children[parent].append(position)
        return position

    root = add(None, "course")
    sequentials = max(1, round((blocks - 9) / 25))
    for chapter in range(min(8, sequentials)):
        chapter_position = add(root, "chapter")
        for _ in range(chapter, sequentials, 8):
            sequential = add(chapter_position, "sequential")
            for _ in range(4):
                vertical = add(sequential, "vertical")
                for component in range(5):
                    add(vertical, ("html", "problem", "video")[component % 3])
    return {
        "course": "course-v1:Bench+Original+run",
        "now": "2026-03-01T12:00:00Z",
        "root": root,
        "keys": keys,
        "children": children,
        "fields": fields,
        "inherited": {"days_early_for_beta": 7.0},
    }
