"""What the baseline must get right: `python3 -m unittest discover benches/original`."""

import unittest

import courses
import stored
import transformers


def course(children, fields):
    """A course of these blocks; the first one is the root."""
    types = ["course"] + ["vertical"] * (len(children) - 1)
    return courses.assemble(
        {
            "course": "course-v1:A+B+C",
            "now": "2026-03-01T12:00:00Z",
            "root": 0,
            "keys": [f"block-v1:A+B+C+type@{kind}+block@{number}" for number, kind in enumerate(types)],
            "children": children,
            "fields": fields,
            "inherited": {},
        }
    )


def visible(children, fields):
    """The ids of what a visitor sees, in the order of the structure, from what is stored."""
    made = course(children, fields)
    structure = stored.read(stored.store(made.structure)[0])
    transformers.transform(structure, made.now)
    return [key.block_id for key in structure]


OPEN = {"start": "2025-01-01T00:00:00Z"}
LATER = {"start": "2027-01-01T00:00:00Z"}
STAFF = {"visible_to_staff_only": True}


class Original(unittest.TestCase):
    def test_a_course_without_dates_is_closed(self):
        self.assertEqual(visible([[1], []], [{}, {}]), ["0"])

    def test_a_pruned_course_is_in_post_order(self):
        self.assertEqual(visible([[1, 2], [3], [], []], [OPEN, {}, {}, {}]), ["3", "1", "2", "0"])

    def test_what_is_for_staff_or_not_open_yet_goes_with_what_is_below_it(self):
        self.assertEqual(visible([[1, 2], [3], [4], [], []], [OPEN, STAFF, LATER, {}, {}]), ["0"])

    def test_one_open_path_is_enough(self):
        self.assertEqual(visible([[1, 2], [3], [3], []], [OPEN, STAFF, {}, {}]), ["3", "2", "0"])

    def test_a_key_is_parsed_and_printed(self):
        text = "block-v1:A+B+C+type@vertical+block@1"
        made = course([[1], []], [OPEN, {}])
        self.assertEqual(str(made.keys[1]), text)
        self.assertIn(made.keys[1], made.structure.relations)

    def test_a_stored_course_is_read_back_whole(self):
        made = course([[1, 1], []], [OPEN, LATER])
        read = stored.read(stored.store(made.structure)[0])
        self.assertEqual(list(read), list(made.structure))
        self.assertEqual(read.children(read.root), [made.keys[1]] * 2)
        start = read.transformer_field(made.keys[1], "start_date", "merged_start_date")
        self.assertEqual(start, courses.date(LATER["start"]))


if __name__ == "__main__":
    unittest.main()
