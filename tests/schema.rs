//! Stored types and WRITE versions that drift apart are noticed: in this crate's own transformers,
//! whose schemas are in `schemas/`, and in made-up ones that change from edition to edition.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;
use std::marker::PhantomData;
use std::path::Path;

use courseblocks::modulestore::{Course, CourseBuilder, SourceVersion, olx};
use courseblocks::record::{DecodeError, Entry};
use courseblocks::schema::{self, SchemaError};
use courseblocks::transformer::Collected;
use courseblocks::transformer::standard::{
    AccessDeniedMessageFilter, BlockCounts, BlockDepth, BlockNavigation, ContentTypeGate,
    EffortEstimation, Grades, HiddenContent, LibraryContent, LibraryContentRandomize, LoadDateData,
    LoadOverrideData, Milestones, SplitTest, StartDate, StudentView, UserPartitions, Visibility,
};
use courseblocks::{
    CourseKey, FieldValue, MinReader, ReadVersion, Registry, Result, Timestamp, Transformer,
    UsageKey, Versions, WriteVersion,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What every release of this crate stored.
const SCHEMAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas");

#[test]
fn the_stock_transformers_store_what_is_written_down() -> Result<(), SchemaError> {
    let course = demo_course();
    let mut results = vec![
        check_stock(&StartDate, &course),
        check_stock(&Visibility, &course),
        check_stock(&HiddenContent, &course),
        check_stock(&BlockCounts, &course),
    ];
    let course = course_with_everything();
    results.extend([
        check_stock(&LibraryContent, &course),
        check_stock(&LibraryContentRandomize, &course),
        check_stock(&ContentTypeGate, &course),
        check_stock(&UserPartitions, &course),
        check_stock(&LoadDateData, &course),
        check_stock(&LoadOverrideData, &course),
        check_stock(&Milestones, &course),
        check_stock(&AccessDeniedMessageFilter, &course),
        check_stock(&StudentView::default(), &course),
        check_stock(&BlockDepth, &course),
        check_stock(&BlockNavigation, &course),
        check_stock(&SplitTest, &course),
        check_stock(&EffortEstimation, &course),
        check_stock(&Grades, &course),
    ]);
    let checked = results.into_iter().collect::<Result<BTreeSet<_>, _>>()?;
    let registry = Registry::standard();
    let names: BTreeSet<_> = registry.names().map(str::to_owned).collect();
    assert_eq!(checked, names);
    Ok(())
}

/// The name of what was checked.
fn check_stock<T: Transformer>(transformer: &T, course: &Course) -> Result<String, SchemaError> {
    schema::check(transformer, course, SCHEMAS)?;
    Ok(transformer.name().to_owned())
}

/// Every case that a stock transformer stores something for.
fn course_with_everything() -> Course {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/everything");
    let course = olx::read(place.as_ref(), &olx::Limits::default()).unwrap();
    assert_eq!(course.report().errors, []);
    assert_eq!(course.report().warnings, []);
    course
}

fn demo_course() -> Course {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/courses/demo-course");
    olx::read(place.as_ref(), &olx::Limits::default()).unwrap()
}

/// A course with a root and two more blocks.
fn course() -> Course {
    let key: CourseKey = "course-v1:Org+Course+Run".parse().unwrap();
    let root = key.usage_key("course", "course").unwrap();
    let version = SourceVersion::new("1").unwrap();
    let mut builder = CourseBuilder::new(key.clone(), root.clone(), version);
    for name in ["a", "b"] {
        builder.add_child(&root, &key.usage_key("html", name).unwrap());
    }
    builder.build().unwrap()
}

/// What an edition of the made-up transformer stores: for every block what `Default` says.
trait Stored: Serialize + DeserializeOwned + Default + Send + Sync + 'static {
    /// Decodes what any version stored.
    fn convert(entry: Entry<'_>) -> Result<Self, DecodeError> {
        entry.decode()
    }
}

/// An edition of the transformer, whose types are `B` and `C`.
struct Edition<B, C = ()> {
    versions: Versions,
    types: PhantomData<fn() -> (B, C)>,
}

impl<B: Stored, C: Stored> Transformer for Edition<B, C> {
    type BlockData<'a> = B;
    type CourseData<'a> = C;

    fn name(&self) -> &'static str {
        "made:up"
    }

    fn versions(&self) -> Versions {
        self.versions
    }

    fn collect(&self, course: &Course) -> Result<Collected<B, C>> {
        let mut collected = Collected::new(course.structure().width(), C::default());
        // Not every block has a value.
        for block in course.structure().blocks().skip(1) {
            collected.set(block, B::default());
        }
        Ok(collected)
    }

    fn decode_block(&self, entry: Entry<'_>) -> Result<B, DecodeError> {
        B::convert(entry)
    }

    fn decode_course(&self, entry: Entry<'_>) -> Result<C, DecodeError> {
        C::convert(entry)
    }
}

/// Versions as numbers: READ, WRITE, `min_reader`.
type Numbers = (u32, u32, u32);

fn check<B: Stored, C: Stored>(numbers: Numbers, directory: &Path) -> Result<(), SchemaError> {
    let (read, write, min_reader) = numbers;
    let edition = Edition::<B, C> {
        versions: Versions {
            read: ReadVersion::new(read),
            write: WriteVersion::new(write).unwrap(),
            min_reader: MinReader::new(WriteVersion::new(min_reader).unwrap()),
        },
        types: PhantomData,
    };
    schema::check(&edition, &course(), directory)
}

/// The edition is written down once and is content from then on.
#[track_caller]
fn accept<B: Stored, C: Stored>(numbers: Numbers, directory: &Path) -> usize {
    let error = check::<B, C>(numbers, directory).unwrap_err();
    let written = error.written();
    assert!(!written.is_empty(), "{error:?}");
    check::<B, C>(numbers, directory).unwrap();
    written.len()
}

/// The edition is refused with a message that has all of `words`, and nothing is written.
#[track_caller]
fn refuse<B: Stored, C: Stored>(numbers: Numbers, directory: &Path, words: &[&str]) {
    let before = contents(directory);
    let error = check::<B, C>(numbers, directory).unwrap_err();
    let message = format!("{error:?}");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
    assert_eq!(contents(directory), before);
}

fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = fs::read_dir(directory.join("made%3aup")) else {
        return BTreeMap::new();
    };
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(path).unwrap())
        })
        .collect()
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct First {
    title: String,
    weight: Option<f64>,
    place: Place,
    kind: Kind,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Place {
    row: u32,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
enum Kind {
    #[default]
    Plain,
    Graded(Vec<String>),
}

impl Stored for () {}
impl Stored for First {}

/// A directory that knows the first edition.
fn with_first() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(accept::<First, ()>((1, 1, 1), directory.path()), 3);
    directory
}

#[test]
fn an_unchanged_type_passes_and_changes_no_file() {
    let directory = with_first();
    let before = contents(directory.path());
    let names: Vec<_> = before.keys().map(String::as_str).collect();
    assert_eq!(names, ["1.golden", "1.read-by-1.json", "1.schema.json"]);
    check::<First, ()>((1, 1, 1), directory.path()).unwrap();
    assert_eq!(contents(directory.path()), before);
}

#[test]
fn a_schema_is_written_for_people() {
    let directory = with_first();
    let contents = contents(directory.path());
    let schema = String::from_utf8_lossy(&contents["1.schema.json"]);
    let expected = r#"{
 "block": {"type":"First"},
 "course": "unit",
 "transformer": "made:up",
 "types": {
  "First": {
   "struct": [
    ["title","text"],
    ["weight",{"option":"f64"}],
    ["place",{"type":"Place"}],
    ["kind",{"type":"Kind"}]
   ]
  },
  "Kind": {"enum":[["Plain","unit"],["Graded",{"newtype":{"list":"text"}}]]},
  "Place": {"struct":[["row","u32"]]}
 },
 "write": 1
}
"#;
    assert_eq!(schema, expected);
    let reading = String::from_utf8_lossy(&contents["1.read-by-1.json"]);
    let expected = r#"{
 "blocks": [
  [1,{"kind":"Plain","place":{"row":0},"title":"","weight":null}],
  [2,{"kind":"Plain","place":{"row":0},"title":"","weight":null}]
 ],
 "course": null
}
"#;
    assert_eq!(reading, expected);
}

/// The first edition with a field more.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Appended {
    title: String,
    weight: Option<f64>,
    place: Place,
    kind: Kind,
    minutes: u32,
}

impl Stored for Appended {
    fn convert(entry: Entry<'_>) -> Result<Self, DecodeError> {
        if entry.write_version().get() > 1 {
            return entry.decode();
        }
        let First {
            title,
            weight,
            place,
            kind,
        } = entry.decode()?;
        Ok(Self {
            title,
            weight,
            place,
            kind,
            minutes: 5,
        })
    }
}

#[test]
fn a_field_more_without_a_higher_write_version_is_refused() {
    let directory = with_first();
    let words = [
        "WRITE version is still 1",
        "`block.minutes` (u32) is new",
        "Raise WRITE to 2",
    ];
    refuse::<Appended, ()>((1, 1, 1), directory.path(), &words);
}

#[test]
fn a_field_appended_with_a_higher_write_version_passes_and_reads_the_old_record() {
    let directory = with_first();
    assert_eq!(accept::<Appended, ()>((1, 2, 1), directory.path()), 3);
    let names: Vec<_> = contents(directory.path()).into_keys().collect();
    assert_eq!(names.len(), 6, "{names:?}");
    check::<Appended, ()>((2, 2, 1), directory.path()).unwrap();
}

/// An edition that decodes older data as if it were its own, as a transformer does by default.
macro_rules! without_conversion {
    ($($name:ident { $($field:ident: $type:ty,)* })*) => {$(
        #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
        struct $name {
            $($field: $type,)*
        }

        impl Stored for $name {}
    )*};
}

without_conversion! {
    Inserted { title: String, minutes: u32, weight: Option<f64>, place: Place, kind: Kind, }
    Retyped { title: String, weight: Option<f32>, place: Place, kind: Kind, }
    Renamed { title: String, heaviness: Option<f64>, place: Place, kind: Kind, }
    Shortened { title: String, weight: Option<f64>, place: Place, }
    Swapped { title: String, place: Place, weight: Option<f64>, kind: Kind, }
    Deeper { title: String, weight: Option<f64>, place: Seat, kind: Kind, }
    Other { title: String, weight: Option<f64>, place: Place, kind: OtherKind, }
    Reordered { title: String, weight: Option<f64>, place: Place, kind: ReorderedKind, }
    Unconverted { title: String, weight: Option<f64>, place: Place, kind: Kind, minutes: u32, }
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Seat {
    row: u32,
    column: u32,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
enum OtherKind {
    #[default]
    Plain,
    Graded(Vec<String>),
    Timed {
        minutes: u32,
    },
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
enum ReorderedKind {
    Graded(Vec<String>),
    #[default]
    Plain,
}

/// A change that is refused as itself, and with a higher WRITE version because older readers could
/// not follow.
#[track_caller]
fn is_not_additive<B: Stored>(what: &str) {
    let directory = with_first();
    refuse::<B, ()>((1, 1, 1), directory.path(), &["still 1", what]);
    let words = ["code of version 1", "as version 2", "min_reader", what];
    refuse::<B, ()>((1, 2, 1), directory.path(), &words);
}

#[test]
fn all_but_a_field_at_the_end_of_the_outermost_struct_is_not_additive() {
    is_not_additive::<Inserted>("`block.minutes` (u32) now comes where `weight` (option<f64>) was");
    is_not_additive::<Retyped>("`block.weight?` was f64 and is f32");
    is_not_additive::<Renamed>("`block.weight` (option<f64>) is now `heaviness` (option<f64>)");
    is_not_additive::<Shortened>("`block.kind` (Kind) is gone");
    is_not_additive::<Swapped>("`block.place` (Place) now comes where `weight` (option<f64>) was");
    is_not_additive::<Deeper>("`block.place.column` (u32) is new");
    is_not_additive::<Other>("`block.kind::Timed` is a new variant");
    is_not_additive::<Reordered>("`block.kind::Graded` is variant 0 now, which was `Plain`");
}

#[test]
fn a_field_appended_to_a_struct_that_contains_itself_is_not_additive() {
    without_conversion! {
        Section { title: String, below: Vec<Section>, }
        LongerSection { title: String, below: Vec<LongerSection>, minutes: u32, }
    }

    let directory = tempfile::tempdir().unwrap();
    accept::<Section, ()>((1, 1, 1), directory.path());
    let words = ["code of version 1", "`block.below[].minutes` (u32) is new"];
    refuse::<LongerSection, ()>((1, 2, 1), directory.path(), &words);
}

#[test]
fn names_of_types_may_change() {
    without_conversion! {
        Same { title: String, weight: Option<f64>, place: SamePlace, kind: Wrapped, }
    }
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct SamePlace {
        row: u32,
    }
    // A newtype takes the bytes of what it wraps.
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Wrapped(Kind);

    let directory = with_first();
    check::<Same, ()>((1, 1, 1), directory.path()).unwrap();
}

#[test]
fn a_variant_more_passes_once_older_readers_are_kept_away() {
    let directory = with_first();
    refuse::<Other, ()>((1, 2, 1), directory.path(), &["min_reader above 1"]);
    // The bytes of the old variants are the same, so no conversion is needed, and the words for
    // the old record are written again for the new types.
    assert_eq!(accept::<Other, ()>((1, 2, 2), directory.path()), 4);
    let contents = contents(directory.path());
    assert_eq!(contents["1.read-by-1.json"], contents["1.read-by-2.json"]);
    // Code of version 1 is kept away, so that of version 3 owes it nothing.
    refuse::<Other, ()>((1, 3, 1), directory.path(), &["code of version 1"]);
    assert_eq!(accept::<Other, ()>((1, 3, 2), directory.path()), 3);
}

#[test]
fn an_old_record_without_a_conversion_is_refused() {
    let directory = with_first();
    let words = [
        "can no longer decode the value of block 1 of what it stored as version 1",
        "`Entry::write_version`",
        "bytes are not the value that was asked for",
    ];
    refuse::<Unconverted, ()>((1, 2, 1), directory.path(), &words);
    // Nobody asks for data below READ.
    accept::<Unconverted, ()>((2, 2, 1), directory.path());
}

/// Like `Appended`, but loses the title on the way.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Forgetful(Appended);

impl Stored for Forgetful {
    fn convert(entry: Entry<'_>) -> Result<Self, DecodeError> {
        let mut converted = Appended::convert(entry)?;
        if entry.write_version().get() == 1 {
            "untitled".clone_into(&mut converted.title);
        }
        Ok(Self(converted))
    }
}

#[test]
fn a_conversion_that_says_something_else_is_refused_below_read_too() {
    let directory = with_first();
    let words = [
        "misreads what it stored as version 1",
        r#"block 1, "title" was "" and is now "untitled""#,
        "1.read-by-1.json",
    ];
    refuse::<Forgetful, ()>((1, 2, 1), directory.path(), &words);
    refuse::<Forgetful, ()>((2, 2, 1), directory.path(), &words);
}

/// Another shape altogether, behind a higher `min_reader`.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Anew {
    heading: Heading,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Heading {
    text: String,
    is_graded: bool,
}

impl Stored for Anew {
    fn convert(entry: Entry<'_>) -> Result<Self, DecodeError> {
        match entry.write_version().get() {
            1 => {
                let First { title, kind, .. } = entry.decode()?;
                let is_graded = kind != Kind::Plain;
                let heading = Heading {
                    text: format!("{title}!"),
                    is_graded,
                };
                Ok(Self { heading })
            }
            2 => Err(DecodeError::new("version 2 is refused")),
            _ => entry.decode(),
        }
    }
}

/// As `Anew`, but reads version 1 otherwise.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct AnewOtherwise(Anew);

impl Stored for AnewOtherwise {
    fn convert(entry: Entry<'_>) -> Result<Self, DecodeError> {
        let mut converted = Anew::convert(entry)?;
        if entry.write_version().get() == 1 {
            converted.heading.text.clear();
        }
        Ok(Self(converted))
    }
}

#[test]
fn another_shape_says_old_records_in_other_words_which_hold_from_then_on() {
    let directory = with_first();
    accept::<Appended, ()>((1, 2, 1), directory.path());
    let words = ["can no longer decode", "version 2 is refused"];
    refuse::<Anew, ()>((2, 3, 3), directory.path(), &words);
    // Version 1 is above READ in no sense here: only what is accepted gets new words.
    assert_eq!(accept::<Anew, ()>((3, 3, 3), directory.path()), 3);

    let directory = with_first();
    assert_eq!(accept::<Anew, ()>((1, 3, 3), directory.path()), 4);
    let reading = &contents(directory.path())["1.read-by-3.json"];
    let expected = r#"{"heading":{"is_graded":false,"text":"!"}}"#;
    let reading = String::from_utf8_lossy(reading);
    assert!(reading.contains(expected), "{reading}");
    let words = [
        r#"block 1, "heading", "text" was "!" and is now """#,
        "1.read-by-3.json",
    ];
    refuse::<AnewOtherwise, ()>((1, 3, 3), directory.path(), &words);
}

/// The first edition again, after one without its last field.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Restored {
    title: String,
    weight: Option<f64>,
    place: Place,
    kind: Kind,
}

impl Stored for Restored {
    fn convert(entry: Entry<'_>) -> Result<Self, DecodeError> {
        if entry.write_version().get() > 2 {
            return entry.decode();
        }
        let Shortened {
            title,
            weight,
            place,
        } = entry.decode()?;
        let kind = Kind::Graded(Vec::new());
        Ok(Self {
            title,
            weight,
            place,
            kind,
        })
    }
}

#[test]
fn what_was_dropped_and_comes_back_need_not_say_more_than_the_newest_words() {
    let directory = with_first();
    assert_eq!(accept::<Shortened, ()>((1, 2, 2), directory.path()), 4);
    assert_eq!(accept::<Restored, ()>((1, 3, 2), directory.path()), 3);
}

#[test]
fn the_course_wide_value_is_watched_like_those_of_blocks() {
    let directory = tempfile::tempdir().unwrap();
    accept::<(), ()>((1, 1, 1), directory.path());
    refuse::<(), Place>(
        (1, 1, 1),
        directory.path(),
        &["`course` was () and is Place"],
    );
    // Where nothing was, anything is additive; but nothing cannot be decoded as something.
    let words = ["can no longer decode the course's value"];
    refuse::<(), Place>((1, 2, 1), directory.path(), &words);
    accept::<(), Late>((1, 2, 1), directory.path());
}

#[test]
fn a_value_appended_to_an_outermost_tuple_is_additive() {
    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Pair(u8, bool);

    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Triple(u8, bool, String);

    impl Stored for Pair {}
    impl Stored for Triple {
        fn convert(entry: Entry<'_>) -> Result<Self, DecodeError> {
            if entry.write_version().get() > 1 {
                return entry.decode();
            }
            let Pair(number, flag) = entry.decode()?;
            Ok(Self(number, flag, String::new()))
        }
    }

    let directory = tempfile::tempdir().unwrap();
    accept::<Pair, ()>((1, 1, 1), directory.path());
    let words = ["still 1", "`block.2` (text) is new"];
    refuse::<Triple, ()>((1, 1, 1), directory.path(), &words);
    accept::<Triple, ()>((1, 2, 1), directory.path());
    let words = ["code of version 1", "`block.0` was u8 and is text"];
    refuse::<(String,), ()>((1, 3, 1), directory.path(), &words);
}

impl Stored for (String,) {}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Late(Place);

impl Stored for Place {}
impl Stored for Late {
    fn convert(entry: Entry<'_>) -> Result<Self, DecodeError> {
        match entry.write_version().get() {
            1 => Ok(Self::default()),
            _ => entry.decode(),
        }
    }
}

#[test]
fn a_write_version_never_goes_back() {
    let directory = with_first();
    accept::<Appended, ()>((1, 3, 1), directory.path());
    let words = ["writes version 2", "above 3"];
    refuse::<Appended, ()>((1, 2, 1), directory.path(), &words);
}

#[test]
fn what_was_committed_and_is_gone_or_damaged_is_asked_for() {
    #[track_caller]
    fn check(name: &str, contents: Option<&[u8]>, word: &str) {
        let directory = with_first();
        accept::<Appended, ()>((1, 2, 1), directory.path());
        let path = directory.path().join("made%3aup").join(name);
        match contents {
            Some(contents) => fs::write(path, contents).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        let words = [name, word, "from the history of the repository"];
        refuse::<Appended, ()>((1, 2, 1), directory.path(), &words);
    }
    check("1.golden", None, "is missing");
    check("1.golden", Some(b"CBLK"), "is damaged");
    check(
        "1.golden",
        Some(&golden_of_version(3)),
        "of another WRITE version",
    );
    check("1.read-by-1.json", None, "is missing");
    check("1.read-by-1.json", Some(b"{}"), "is not what a record says");
    check("1.schema.json", Some(b"{"), "is no JSON");
    check("2.schema.json", Some(b"{}"), "is not the schema");
    check("2.golden", None, "is missing");
}

/// An intact one, kept under the same name.
fn golden_of_version(write: u32) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    accept::<First, ()>((1, write, 1), directory.path());
    contents(directory.path())
        .remove(&format!("{write}.golden"))
        .unwrap()
}

#[test]
fn a_golden_record_of_other_blocks_is_noticed() {
    let directory = with_first();
    let reading = directory.path().join("made%3aup/1.read-by-1.json");
    fs::write(reading, r#"{"blocks": [], "course": null}"#).unwrap();
    let words = ["which blocks have a value was [] and is now [1, 2]"];
    refuse::<First, ()>((1, 1, 1), directory.path(), &words);
}

#[test]
fn every_flipped_bit_of_a_golden_record_is_noticed() {
    let directory = with_first();
    let path = directory.path().join("made%3aup/1.golden");
    let golden = fs::read(&path).unwrap();
    for bit in 0..golden.len() * 8 {
        let mut flipped = golden.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, flipped).unwrap();
        let error = check::<First, ()>((1, 1, 1), directory.path()).unwrap_err();
        assert!(error.to_string().contains("is damaged"), "{error}");
    }
}

#[test]
fn types_that_check_what_they_read_are_traced_with_what_was_collected() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Checked {
        key: UsageKey,
        other: Option<UsageKey>,
        versions: Vec<WriteVersion>,
        when: Timestamp,
        title: String,
        number: u8,
        color: Color,
        other_color: Option<Color>,
        shades: Vec<Shade>,
        by_name: BTreeMap<String, FieldValue>,
    }

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(try_from = "String")]
    struct Color(String);

    impl TryFrom<String> for Color {
        type Error = &'static str;

        fn try_from(text: String) -> Result<Self, &'static str> {
            if text.starts_with('#') {
                Ok(Self(text))
            } else {
                Err("a color begins with #")
            }
        }
    }

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(try_from = "u8")]
    struct Shade(u8);

    impl TryFrom<u8> for Shade {
        type Error = &'static str;

        fn try_from(number: u8) -> Result<Self, &'static str> {
            match number {
                40.. => Ok(Self(number)),
                _ => Err("a shade is dark"),
            }
        }
    }

    impl Default for Checked {
        fn default() -> Self {
            Self {
                key: demo_key(),
                other: None,
                versions: Vec::new(),
                when: Timestamp::MAX,
                title: "no color".to_owned(),
                number: 3,
                color: Color("#fff".to_owned()),
                other_color: None,
                shades: vec![Shade(40)],
                by_name: BTreeMap::new(),
            }
        }
    }

    fn demo_key() -> UsageKey {
        let course: CourseKey = "course-v1:Org+Course+Run".parse().unwrap();
        course.usage_key("html", "a").unwrap()
    }

    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Unsampled {
        color: Option<Color>,
    }

    impl Stored for Checked {}
    impl Stored for Unsampled {}

    let directory = tempfile::tempdir().unwrap();
    accept::<Checked, ()>((1, 1, 1), directory.path());

    let directory = tempfile::tempdir().unwrap();
    let words = [
        "made:up",
        "Color",
        "a color begins with #",
        "Let the course have a block",
    ];
    refuse::<Unsampled, ()>((1, 1, 1), directory.path(), &words);
}

#[test]
fn a_type_that_wants_self_describing_data_is_refused_with_the_reason() {
    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Flattened {
        #[serde(flatten)]
        place: Place,
    }

    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Untagged {
        either: Either,
    }

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u32),
    }

    impl Default for Either {
        fn default() -> Self {
            Self::Number(1)
        }
    }

    impl Stored for Flattened {}
    impl Stored for Untagged {}

    let directory = tempfile::tempdir().unwrap();
    let words = ["cannot be traced", "Either", "do not describe themselves"];
    refuse::<Untagged, ()>((1, 1, 1), directory.path(), &words);
    // bincode refuses this one before it comes to that.
    refuse::<Flattened, ()>((1, 1, 1), directory.path(), &["cannot collect"]);
}

#[test]
fn what_is_not_read_back_as_it_was_collected_is_refused() {
    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Skipping {
        #[serde(skip_serializing_if = "Option::is_none")]
        first: Option<u8>,
        second: Option<u8>,
        third: bool,
    }
    impl Stored for Skipping {}

    #[derive(Debug, Serialize, Deserialize)]
    struct HalfRead {
        first: u8,
        #[serde(skip_deserializing)]
        second: u8,
    }
    impl Stored for HalfRead {}
    impl Default for HalfRead {
        fn default() -> Self {
            Self {
                first: 1,
                second: 2,
            }
        }
    }

    let directory = tempfile::tempdir().unwrap();
    refuse::<Skipping, ()>((1, 1, 1), directory.path(), &["is not what is read back"]);
    let words = [
        "is not what is read back",
        r#""second" was 2, and after having been stored it is 0"#,
    ];
    refuse::<HalfRead, ()>((1, 1, 1), directory.path(), &words);
}

/// Stores the type of every block, and copies it nowhere.
struct Borrowing;

#[derive(Serialize, Deserialize)]
struct BlockType<'a> {
    block_type: &'a str,
}

impl Transformer for Borrowing {
    type BlockData<'a> = BlockType<'a>;
    type CourseData<'a> = &'a str;

    fn name(&self) -> &'static str {
        "borrowing"
    }

    fn versions(&self) -> Versions {
        Versions::new(ReadVersion::new(1), WriteVersion::FIRST)
    }

    fn collect<'a>(&self, course: &'a Course) -> Result<Collected<BlockType<'a>, &'a str>> {
        let structure = course.structure();
        let mut collected = Collected::new(structure.width(), course.key().as_str());
        for block in structure.blocks() {
            let block_type = structure.key(block).block_type();
            collected.set(block, BlockType { block_type });
        }
        Ok(collected)
    }
}

#[test]
fn types_that_borrow_are_written_down_and_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let written = schema::check(&Borrowing, &course(), directory.path()).unwrap_err();
    assert!(!written.written().is_empty(), "{written}");
    schema::check(&Borrowing, &course(), directory.path()).unwrap();
}
