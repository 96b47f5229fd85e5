"""What is collected of a course, and the two transformers that are measured."""

import datetime

from structure import BlockData, TransformerData

UTC = datetime.timezone.utc
DEFAULT_START = datetime.datetime(2030, 1, 1, tzinfo=UTC)
NEVER = datetime.datetime.max.replace(tzinfo=UTC)

# WRITE versions by name: all that are registered leave theirs with the course.
REGISTERED = {
    "access_denied_message_filter": 1,
    "blocks_api:block_counts": 1,
    "blocks_api:block_depth": 1,
    "blocks_api:block_navigation": 1,
    "content_type_gate": 1,
    "effort_estimation": 1,
    "grades": 4,
    "hidden_content": 4,
    "library_content": 1,
    "library_content_randomize": 1,
    "load_date_data": 1,
    "load_override_data": 1,
    "milestones": 1,
    "split_test": 1,
    "start_date": 1,
    "user_partitions": 1,
    "video_urls": 1,
    "visibility": 1,
}

# The fields that transformers ask for, with what a block has that sets nothing.
REQUESTED = {
    "category": None,
    "course_version": None,
    "days_early_for_beta": None,
    "display_name": None,
    "due": None,
    "end": None,
    "entrance_exam_id": "",
    "format": None,
    "graded": False,
    "group_access": None,
    "has_score": False,
    "hide_from_toc": False,
    "is_practice_exam": False,
    "is_proctored_enabled": False,
    "is_timed_exam": False,
    "self_paced": False,
    "show_correctness": "always",
    "start": None,
    "weight": None,
}


def collect(structure, explicit, inherited):
    """Notes what the transformers need of each block. `explicit` are the fields that blocks set
    themselves, by key; `inherited` those that all of them have otherwise."""
    for name, write in REGISTERED.items():
        noted = structure.transformers[name] = TransformerData()
        noted.fields["version"] = write
    for key in structure.topological():
        own = explicit[key]
        block = structure.blocks[key] = BlockData(key)
        block.fields = {name: own.get(name, inherited.get(name, default)) for name, default in REQUESTED.items()}
        block.fields["category"] = key.block_type
        block.fields["has_score"] = key.block_type == "problem"
        block.fields["group_access"] = {}
        _percolate_flag(structure, key, own, "visibility", "visible_to_staff_only")
        _percolate_flag(structure, key, own, "hidden_content", "hide_after_due")
        _percolate_date(structure, key, own, "start_date", "start", DEFAULT_START)
        _percolate_date(structure, key, own, "hidden_content", "end", NEVER)
        _collect_grades(structure, key)
        _collect_effort(structure, key)


def _percolate_flag(structure, key, own, transformer, field):
    """Set by the block itself, or by all of its parents."""
    name = "merged_" + field
    parents = structure.parents(key)
    merged = bool(parents) and all(structure.transformer_field(parent, transformer, name) for parent in parents)
    structure.set_transformer_field(key, transformer, name, merged or bool(own.get(field)))


def _percolate_date(structure, key, own, transformer, field, default):
    """The later of the block's own date and the earliest of its parents'."""
    name = f"merged_{field}_date"
    date = own.get(field)
    parents = structure.parents(key)
    if not parents:
        merged = date or default
    else:
        merged = min(structure.transformer_field(parent, transformer, name) for parent in parents)
        if date is not None:
            merged = max(merged, date)
    structure.set_transformer_field(key, transformer, name, merged)


def _collect_grades(structure, key):
    subsections = set()
    for parent in structure.parents(key):
        subsections |= structure.transformer_field(parent, "grades", "subsections")
    if key.block_type == "sequential":
        subsections.add(key)
    structure.set_transformer_field(key, "grades", "subsections", subsections)
    structure.set_transformer_field(key, "grades", "explicit_graded", None)
    if key.block_type == "problem":
        structure.set_transformer_field(key, "grades", "max_score", 1)


def _collect_effort(structure, key):
    if key.block_type == "html":
        structure.set_transformer_field(key, "effort_estimation", "html_word_count", 300)
    elif key.block_type == "video":
        structure.set_transformer_field(key, "effort_estimation", "video_duration", 240)


def transform(structure, now):
    """Applies `visibility` and `start_date` for an anonymous visitor, and prunes."""

    def for_staff(key):
        return structure.transformer_field(key, "visibility", "merged_visible_to_staff_only")

    def closed(key):
        start = structure.transformer_field(key, "start_date", "merged_start_date")
        return not (start is None or now > start)

    structure.remove_where([for_staff, closed])
    structure.prune()
