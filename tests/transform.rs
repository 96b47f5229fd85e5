//! What one user sees: filters that share a traversal, transformers in their order, and data that
//! another release wrote.

#[path = "common/joined.rs"]
mod joined;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use courseblocks::engine::MemoryEngine;
use courseblocks::modulestore::{Block, Course, CourseBuilder, ModuleStore, SourceVersion};
use courseblocks::record::{DecodeError, Entry};
use courseblocks::transformer::standard::{BlockCounts, HiddenContent, StartDate};
use courseblocks::transformer::{Collected, Data, Transformation};
use courseblocks::{
    BlockIndex, BlockStructure, CourseKey, Descendants, Error, ErrorKind, FieldValue, Manager,
    Reach, ReadVersion, Registry, RemovalFilter, Result, Store, Timestamp, Transformed,
    Transformer, Unyielded, UsageKey, UserContext, Versions, WriteVersion,
};
use joined::joined;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

fn course_key() -> CourseKey {
    "course-v1:Org+Course+Run".parse().unwrap()
}

/// Named so that numbers and positions agree.
fn block_key(number: usize) -> UsageKey {
    course_key()
        .usage_key("html", &format!("{number:03}"))
        .unwrap()
}

fn versions(read: u32, write: u32) -> Versions {
    Versions::new(ReadVersion::new(read), WriteVersion::new(write).unwrap())
}

/// A course with the root 0.
#[derive(Clone)]
struct Graph {
    edges: Vec<(usize, usize)>,
    blocks: Vec<(usize, Block)>,
}

impl Graph {
    fn new(edges: &[(usize, usize)]) -> Self {
        Self {
            edges: edges.to_vec(),
            blocks: Vec::new(),
        }
    }
}

impl ModuleStore for Graph {
    fn source_version(&self, _: &CourseKey) -> Result<SourceVersion> {
        SourceVersion::new("1")
    }

    fn load(&self, course: &CourseKey) -> Result<Course> {
        let mut builder =
            CourseBuilder::new(course.clone(), block_key(0), self.source_version(course)?);
        for (parent, child) in &self.edges {
            builder.add_child(&block_key(*parent), &block_key(*child));
        }
        for (number, block) in &self.blocks {
            builder.define(block_key(*number), block.clone());
        }
        builder.build()
    }
}

fn manager(graph: &Graph, registry: Registry) -> Manager {
    let store = Store::with_engine(Arc::new(MemoryEngine::new()));
    let manager = Manager::new(Arc::new(store), Arc::new(registry), Arc::new(graph.clone()));
    joined(manager)
}

fn visitor() -> UserContext {
    UserContext::new(Timestamp::MIN)
}

fn transformed(manager: &Manager, names: &[&str]) -> Transformed {
    manager
        .get_transformed(&course_key(), names, &visitor(), None)
        .unwrap()
}

fn numbers(structure: &BlockStructure) -> BTreeSet<usize> {
    structure.blocks().map(BlockIndex::as_usize).collect()
}

/// Collects nothing.
fn nothing(course: &Course) -> Collected<(), ()> {
    Collected::new(course.structure().width(), ())
}

/// Removes some blocks, and writes down which ones it was asked about.
#[derive(Clone, Debug)]
struct Removes {
    name: String,
    blocks: BTreeSet<usize>,
    asked: Arc<Mutex<Vec<usize>>>,
}

impl Removes {
    fn new(name: &str, blocks: impl IntoIterator<Item = usize>) -> Self {
        let blocks = blocks.into_iter().collect();
        Self {
            name: name.to_owned(),
            blocks,
            asked: Arc::default(),
        }
    }

    fn filter(&self) -> RemovalFilter<'_> {
        RemovalFilter::new(Descendants::Remove, |block| {
            self.asked.lock().unwrap().push(block.as_usize());
            self.blocks.contains(&block.as_usize())
        })
    }
}

impl Transformer for Removes {
    type BlockData<'a> = ();
    type CourseData<'a> = ();

    fn name(&self) -> &str {
        &self.name
    }

    fn versions(&self) -> Versions {
        versions(1, 1)
    }

    fn collect(&self, course: &Course) -> Result<Collected<(), ()>> {
        Ok(nothing(course))
    }

    fn filters<'a>(
        &'a self,
        _: &'a Data<(), ()>,
        _: &mut Transformation<'_>,
    ) -> Option<Vec<RemovalFilter<'a>>> {
        Some(vec![self.filter()])
    }
}

fn registry_of(filters: &[Removes]) -> Registry {
    let mut registry = Registry::new();
    for filter in filters {
        registry.register(filter.clone()).unwrap();
    }
    registry
}

/// What the filters leave in one shared traversal, as a manager runs them.
fn shared(edges: &[(usize, usize)], filters: &[Removes]) -> BlockStructure {
    let manager = manager(&Graph::new(edges), registry_of(filters));
    let names: Vec<_> = filters.iter().map(|filter| filter.name.as_str()).collect();
    transformed(&manager, &names).structure
}

/// What they leave when each has a traversal of its own, pruned in the end.
fn in_turn(edges: &[(usize, usize)], filters: &[Removes]) -> BlockStructure {
    let mut structure = shared(edges, &[]);
    for filter in filters {
        let mut filter = [filter.filter()];
        structure
            .remove_where(Unyielded::SkipDescendants, &mut filter)
            .unwrap();
    }
    structure.prune();
    structure
}

/// The same, pruned after each of them.
fn in_turn_pruned(edges: &[(usize, usize)], filters: &[Removes]) -> BlockStructure {
    let mut structure = shared(edges, &[]);
    for filter in filters {
        let mut filter = [filter.filter()];
        structure
            .remove_where(Unyielded::SkipDescendants, &mut filter)
            .unwrap();
        structure.prune();
    }
    structure
}

/// A block all of whose parents go, one of them by each filter, is never visited in a shared
/// traversal, and what it leads to waits for it in vain: so 5 stays, though the first filter would
/// remove it. One after another, the first filter still finds it. The original shares.
#[test]
fn in_a_shared_traversal_a_block_may_escape_that_filters_in_turn_would_remove() {
    let edges = [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (4, 5), (3, 5)];
    let filters = [Removes::new("first", [1, 5]), Removes::new("second", [2])];
    assert_eq!(
        numbers(&shared(&edges, &filters)),
        BTreeSet::from([0, 3, 5])
    );
    assert_eq!(numbers(&in_turn(&edges, &filters)), BTreeSet::from([0, 3]));
    assert_eq!(
        numbers(&in_turn_pruned(&edges, &filters)),
        BTreeSet::from([0, 3])
    );
    // In turn, the second filter is not asked about 5 either, unless 4 was pruned.
    let filters = [Removes::new("first", [1, 2]), Removes::new("second", [5])];
    assert_eq!(
        numbers(&shared(&edges, &filters)),
        BTreeSet::from([0, 3, 5])
    );
    assert_eq!(
        numbers(&in_turn(&edges, &filters)),
        BTreeSet::from([0, 3, 5])
    );
    assert_eq!(
        numbers(&in_turn_pruned(&edges, &filters)),
        BTreeSet::from([0, 3])
    );
}

#[test]
fn filters_are_asked_top_down_in_their_order_and_not_about_what_is_gone() {
    let edges = [(0, 1), (0, 2), (1, 3), (2, 3), (2, 4)];
    let (first, second) = (Removes::new("b", [2]), Removes::new("a", [1]));
    let registry = registry_of(&[second.clone(), first.clone()]);
    let manager = manager(&Graph::new(&edges), registry);
    // The order asked for counts, not that of the registry or of the alphabet.
    let left = transformed(&manager, &["b", "a"]).structure;
    assert_eq!(numbers(&left), BTreeSet::from([0]));
    assert_eq!(*first.asked.lock().unwrap(), [0, 1, 2]);
    assert_eq!(*second.asked.lock().unwrap(), [0, 1]);
}

#[test]
fn a_transformer_takes_the_place_of_the_one_with_its_name() {
    let edges = [(0, 1), (0, 2)];
    let mut registry = registry_of(&[Removes::new("a", [1]), Removes::new("b", [])]);
    registry.replace(Removes::new("a", [2])).unwrap();
    assert!(registry.names().eq(["a", "b"]), "{registry:?}");
    let error = registry.replace(Removes::new("c", [1])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Registry);
    let manager = manager(&Graph::new(&edges), registry);
    let left = transformed(&manager, &["a", "b"]).structure;
    assert_eq!(numbers(&left), BTreeSet::from([0, 1]));
}

/// Parents before children, every block with at least one parent before it; where blocks are to
/// have a single parent it is a tree.
fn edges(parents: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<(usize, usize)>> {
    let parents_of = move |child: usize| {
        proptest::collection::vec(0..child, parents.clone())
            .prop_map(move |parents| parents.into_iter().map(|parent| (parent, child)).collect())
    };
    (2..14_usize)
        .prop_flat_map(move |count| (1..count).map(&parents_of).collect::<Vec<_>>())
        .prop_map(|edges: Vec<Vec<_>>| edges.concat())
}

/// Not the root: it is visited even when it is gone, and cannot go twice.
fn filters() -> impl Strategy<Value = Vec<Removes>> {
    let blocks = || proptest::collection::btree_set(1..14_usize, 0..6);
    (blocks(), blocks(), blocks()).prop_map(|(a, b, c)| {
        [("a", a), ("b", b), ("c", c)]
            .into_iter()
            .map(|(name, blocks)| Removes::new(name, blocks))
            .collect()
    })
}

proptest! {
    #[test]
    fn in_a_tree_it_makes_no_difference_whether_filters_share_a_traversal(
        edges in edges(1..=1),
        filters in filters(),
    ) {
        let shared = shared(&edges, &filters);
        prop_assert_eq!(&shared, &in_turn(&edges, &filters));
        prop_assert_eq!(&shared, &in_turn_pruned(&edges, &filters));
    }

    #[test]
    fn in_any_course_a_shared_traversal_removes_at_most_what_filters_in_turn_do(
        edges in edges(1..=3),
        filters in filters(),
    ) {
        let shared = numbers(&shared(&edges, &filters));
        let in_turn = numbers(&in_turn(&edges, &filters));
        let pruned = numbers(&in_turn_pruned(&edges, &filters));
        prop_assert!(pruned.is_subset(&in_turn), "{pruned:?} {in_turn:?}");
        prop_assert!(in_turn.is_subset(&shared), "{in_turn:?} {shared:?}");
    }

    #[test]
    fn the_order_of_filters_that_share_a_traversal_makes_no_difference(
        edges in edges(1..=3),
        filters in filters(),
    ) {
        let forwards = shared(&edges, &filters);
        let backwards: Vec<_> = filters.into_iter().rev().collect();
        prop_assert_eq!(forwards, shared(&edges, &backwards));
    }

    /// What differs is never a block that some filter said no to.
    #[test]
    fn what_a_filter_removes_is_gone_and_the_root_reaches_what_is_left(
        edges in edges(1..=3),
        filters in filters(),
    ) {
        let left = numbers(&shared(&edges, &filters));
        for filter in &filters {
            let asked = filter.asked.lock().unwrap();
            let mut removed = asked.iter().filter(|block| filter.blocks.contains(block));
            prop_assert!(removed.all(|block| !left.contains(block)));
        }
        let mut reached = BTreeSet::new();
        let mut next = vec![0];
        while let Some(block) = next.pop() {
            if left.contains(&block) && reached.insert(block) {
                next.extend(edges.iter().filter(|edge| edge.0 == block).map(|edge| edge.1));
            }
        }
        prop_assert_eq!(reached, left);
    }
}

// Transformers that are no filters.

/// Gives a block another due date for this user, and notes which blocks were there.
struct Postpones {
    name: &'static str,
    block: usize,
    due: Timestamp,
    saw: Arc<Mutex<Vec<usize>>>,
}

impl Transformer for Postpones {
    type BlockData<'a> = ();
    type CourseData<'a> = ();

    fn name(&self) -> &str {
        self.name
    }

    fn versions(&self) -> Versions {
        versions(1, 1)
    }

    fn collect(&self, course: &Course) -> Result<Collected<(), ()>> {
        Ok(nothing(course))
    }

    fn transform(&self, _: &Data<(), ()>, transformation: &mut Transformation<'_>) -> Result<()> {
        let block = block_key(self.block);
        let position = transformation.structure().position(&block).unwrap();
        let present = numbers(transformation.structure());
        self.saw.lock().unwrap().extend(present);
        let due = transformation.outputs_mut().field_overrides("due");
        due.set(position, FieldValue::Date(self.due));
        Ok(())
    }
}

/// 1 and 2 close on the second of January.
fn closing() -> Graph {
    let mut graph = Graph::new(&[(0, 1), (0, 2), (0, 3)]);
    for block in [1, 2] {
        let mut closing = Block::default();
        closing
            .fields
            .insert("hide_after_due".into(), FieldValue::Bool(true));
        closing
            .fields
            .insert("due".into(), FieldValue::Date(day(2)));
        graph.blocks.push((block, closing));
    }
    graph
}

fn day(day: u8) -> Timestamp {
    Timestamp::from_utc((2026, 1, day), (0, 0, 0), 0).unwrap()
}

#[test]
fn transformers_run_in_the_order_asked_for_and_see_what_those_before_them_said() {
    let saw = Arc::<Mutex<Vec<usize>>>::default();
    let mut registry = registry_of(&[Removes::new("removes", [3])]);
    let postpones = Postpones {
        name: "postpones",
        block: 1,
        due: day(9),
        saw: Arc::clone(&saw),
    };
    registry.register(HiddenContent).unwrap();
    registry.register(postpones).unwrap();
    let manager = manager(&closing(), registry);
    let see = |names: &[&str]| {
        let user = UserContext::new(day(5));
        let seen = manager
            .get_transformed(&course_key(), names, &user, None)
            .unwrap();
        numbers(&seen.structure)
    };
    assert_eq!(see(&["hidden_content"]), BTreeSet::from([0, 3]));
    assert_eq!(
        see(&["postpones", "hidden_content"]),
        BTreeSet::from([0, 1, 3])
    );
    assert_eq!(
        see(&["hidden_content", "postpones"]),
        BTreeSet::from([0, 3])
    );
    // A filter has run before them, wherever it stands.
    saw.lock().unwrap().clear();
    assert_eq!(
        see(&["postpones", "hidden_content", "removes"]),
        BTreeSet::from([0, 1])
    );
    assert_eq!(*saw.lock().unwrap(), [0, 1, 2]);
}

#[test]
fn what_one_user_is_told_is_not_told_the_next_one() {
    let mut registry = Registry::new();
    registry.register(HiddenContent).unwrap();
    let manager = manager(&closing(), registry);
    let collected = manager
        .get_collected(&course_key(), &["hidden_content"])
        .unwrap();
    let mut late = UserContext::new(day(5));
    late.show_hidden_content_without_links = true;
    let marked = collected.transform(&late, None).unwrap();
    assert_eq!(marked.structure.len(), 4);
    let position = marked.structure.position(&block_key(1)).unwrap();
    let mark = marked
        .outputs
        .value("hidden_content", "hidden_after_due", position);
    assert_eq!(mark, Some(&FieldValue::Bool(true)));
    late.show_hidden_content_without_links = false;
    assert_eq!(collected.transform(&late, None).unwrap().structure.len(), 2);
    let early = collected
        .transform(&UserContext::new(day(1)), None)
        .unwrap();
    assert_eq!(early.structure.len(), 4);
    assert!(early.outputs.of_block(position).is_empty());
    assert_eq!(collected.structure().len(), 4);
}

#[test]
fn below_a_start_there_is_only_what_it_reaches() {
    let graph = Graph::new(&[(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)]);
    let manager = manager(&graph, Registry::new());
    let see =
        |start: &UsageKey| manager.get_transformed(&course_key(), &[], &visitor(), Some(start));
    let below = see(&block_key(1)).unwrap().structure;
    assert_eq!(below.root().as_usize(), 1);
    assert_eq!(numbers(&below), BTreeSet::from([1, 3, 4]));
    assert_eq!(below.parents(below.root()).count(), 0);
    let stranger = course_key().usage_key("html", "none").unwrap();
    assert_eq!(see(&stranger).unwrap_err().kind(), ErrorKind::NotFound);
    let other = "block-v1:Org+Course+Other+type@html+block@001"
        .parse()
        .unwrap();
    assert_eq!(see(&other).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_transformer_that_fails_for_a_user_fails_the_whole_answer() {
    struct Fails;
    impl Transformer for Fails {
        type BlockData<'a> = ();
        type CourseData<'a> = ();
        fn name(&self) -> &'static str {
            "fails"
        }
        fn versions(&self) -> Versions {
            versions(1, 1)
        }
        fn collect(&self, course: &Course) -> Result<Collected<(), ()>> {
            Ok(nothing(course))
        }
        fn transform(&self, _: &Data<(), ()>, _: &mut Transformation<'_>) -> Result<()> {
            Err(Error::new(ErrorKind::Transformer, "no"))
        }
    }
    let mut registry = Registry::new();
    registry.register(Fails).unwrap();
    let manager = manager(&closing(), registry);
    let outcome = manager.get_transformed(&course_key(), &["fails"], &visitor(), None);
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Transformer);
}

// Stock transformers, where the original's results end.

#[track_caller]
fn check_opens(days_early: FieldValue, opens: &str) {
    let mut graph = Graph::new(&[]);
    let mut block = Block::default();
    block
        .fields
        .insert("start".into(), FieldValue::Date(day(10)));
    block
        .fields
        .insert("days_early_for_beta".into(), days_early);
    graph.blocks.push((0, block));
    let mut registry = Registry::new();
    registry.register(StartDate).unwrap();
    let manager = manager(&graph, registry);
    let opens: Timestamp = opens.parse().unwrap();
    for (now, is_open) in [(opens.as_micros(), false), (opens.as_micros() + 1, true)] {
        let mut tester = UserContext::new(Timestamp::from_micros(now).unwrap());
        tester.is_beta_tester = true;
        let seen = manager
            .get_transformed(&course_key(), &["start_date"], &tester, None)
            .unwrap();
        assert_eq!(!seen.structure.is_empty(), is_open, "{}", tester.now);
    }
}

#[test]
fn beta_testers_come_early_by_whole_days_and_parts_of_them() {
    check_opens(FieldValue::Float(1.0), "2026-01-09T00:00:00Z");
    check_opens(FieldValue::Int(3), "2026-01-07T00:00:00Z");
    check_opens(FieldValue::Float(0.25), "2026-01-09T18:00:00Z");
    check_opens(FieldValue::Float(1e-11), "2026-01-09T23:59:59.999999Z");
    check_opens(FieldValue::Float(-2.0), "2026-01-12T00:00:00Z");
    check_opens(FieldValue::Float(0.0), "2026-01-10T00:00:00Z");
    check_opens(FieldValue::Null, "2026-01-10T00:00:00Z");
    // Before the calendar begins, or no number of days at all: the start itself.
    for days in [1e9, -1e9, 1e300, f64::INFINITY, f64::NAN] {
        check_opens(FieldValue::Float(days), "2026-01-10T00:00:00Z");
    }
    check_opens(FieldValue::String("7".into()), "2026-01-10T00:00:00Z");
}

/// The original's numbers have no end.
#[test]
fn counts_of_blocks_stop_at_the_largest_number() {
    let edges: Vec<_> = (0..80).flat_map(|block| [(block, block + 1); 2]).collect();
    let mut registry = Registry::new();
    registry.register(BlockCounts).unwrap();
    let manager = manager(&Graph::new(&edges), registry);
    let mut user = visitor();
    user.block_types_to_count = vec!["html".into()];
    let name = "blocks_api:block_counts";
    let seen = manager
        .get_transformed(&course_key(), &[name], &user, None)
        .unwrap();
    let count = |number| {
        let position = seen.structure.position(&block_key(number)).unwrap();
        seen.outputs
            .value(name, "html", position)
            .and_then(FieldValue::as_int)
            .unwrap()
    };
    assert_eq!((count(80), count(79), count(78)), (1, 3, 7));
    assert_eq!(count(0), i64::MAX);
}

/// The original raises an error where a transformer before it has removed the root.
#[test]
fn where_the_root_is_gone_there_is_nothing_to_see_and_no_error() {
    let mut registry = registry_of(&[Removes::new("removes", [0])]);
    registry.register(HiddenContent).unwrap();
    registry.register(BlockCounts).unwrap();
    let manager = manager(&closing(), registry);
    let mut user = UserContext::new(day(5));
    user.block_types_to_count = vec!["html".into()];
    for show in [false, true] {
        user.show_hidden_content_without_links = show;
        let names = ["removes", "hidden_content", "blocks_api:block_counts"];
        let seen = manager
            .get_transformed(&course_key(), &names, &user, None)
            .unwrap();
        assert!(seen.structure.is_empty());
    }
}

// Data that borrows, and data of a part.

/// Reads titles out of the record instead of copying them, and counts how often.
struct Borrows {
    decoded: Arc<AtomicUsize>,
}

#[derive(Serialize, Deserialize)]
struct Borrowed<'a> {
    title: &'a str,
}

impl Transformer for Borrows {
    type BlockData<'a> = Borrowed<'a>;
    type CourseData<'a> = &'a str;

    fn name(&self) -> &'static str {
        "borrows"
    }

    fn versions(&self) -> Versions {
        versions(1, 1)
    }

    fn reach(&self) -> Reach {
        Reach::Subtree
    }

    fn collect<'a>(&self, course: &'a Course) -> Result<Collected<Borrowed<'a>, &'a str>> {
        let structure = course.structure();
        let mut collected = Collected::new(structure.width(), course.key().as_str());
        for block in structure.blocks() {
            let title = structure.key(block).block_id();
            collected.set(block, Borrowed { title });
        }
        Ok(collected)
    }

    fn decode_block<'a>(&self, entry: Entry<'a>) -> std::result::Result<Borrowed<'a>, DecodeError> {
        let block: Borrowed<'a> = entry.decode()?;
        assert!(entry.bytes().as_ptr_range().contains(&block.title.as_ptr()));
        self.decoded.fetch_add(1, Ordering::Relaxed);
        Ok(block)
    }

    fn transform(
        &self,
        data: &Data<Borrowed<'_>, &str>,
        transformation: &mut Transformation<'_>,
    ) -> Result<()> {
        assert_eq!(data.course(), Some(&course_key().as_str()));
        let (structure, outputs) = transformation.split();
        let titles = outputs.column("borrows", "title");
        for block in structure.blocks() {
            let title = data.block(block).map(|data| data.title.to_owned());
            titles.set(block, FieldValue::String(title.unwrap_or_default()));
        }
        Ok(())
    }
}

#[test]
fn data_can_borrow_from_its_record_and_a_part_of_a_course_costs_a_part() {
    let edges: Vec<_> = (1..100).map(|block| (block / 10, block)).collect();
    let graph = Graph::new(&edges);
    let decoded = Arc::new(AtomicUsize::new(0));
    let mut registry = Registry::new();
    let borrows = Borrows {
        decoded: Arc::clone(&decoded),
    };
    registry.register(borrows).unwrap();
    let manager = manager(&graph, registry);
    let see = |start: Option<&UsageKey>| {
        let names = ["borrows"];
        let seen = manager.get_transformed(&course_key(), &names, &visitor(), start);
        let seen = seen.unwrap();
        for block in seen.structure.blocks() {
            let title = seen.structure.key(block).block_id().to_owned();
            let told = seen.outputs.value("borrows", "title", block);
            assert_eq!(told, Some(&FieldValue::String(title)));
        }
        seen.structure.len()
    };
    assert_eq!(see(None), 100);
    assert_eq!(decoded.swap(0, Ordering::Relaxed), 100);
    // A block with ten children, each of which has none.
    assert_eq!(see(Some(&block_key(5))), 11);
    assert_eq!(decoded.swap(0, Ordering::Relaxed), 11);
    assert_eq!(see(Some(&block_key(73))), 1);
    assert_eq!(decoded.swap(0, Ordering::Relaxed), 1);

    let names = ["borrows"];
    let key = block_key(73);
    let entries = manager.get_block_entries(&course_key(), &names, &key);
    let entries = entries.unwrap();
    let borrows = Borrows { decoded };
    let block = entries.get(&borrows).unwrap().unwrap();
    assert_eq!(block.title, key.block_id());
}

// Data of another release.

/// What release 1 stores.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct TitleV1 {
    title: String,
}

/// What release 2 stores: a field more.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct TitleV2 {
    title: String,
    length: Option<u32>,
}

struct Release1;

impl Transformer for Release1 {
    type BlockData<'a> = TitleV1;
    type CourseData<'a> = u8;

    fn name(&self) -> &'static str {
        "titles"
    }

    fn versions(&self) -> Versions {
        versions(1, 1)
    }

    fn collect(&self, course: &Course) -> Result<Collected<TitleV1, u8>> {
        let mut collected = Collected::new(course.structure().width(), 1);
        for block in course.structure().blocks() {
            let title = course.structure().key(block).block_id().to_owned();
            collected.set(block, TitleV1 { title });
        }
        Ok(collected)
    }
}

/// In phase 1 of its rollout: it still reads what release 1 wrote.
struct Release2;

impl Transformer for Release2 {
    type BlockData<'a> = TitleV2;
    type CourseData<'a> = u8;

    fn name(&self) -> &'static str {
        "titles"
    }

    fn versions(&self) -> Versions {
        versions(1, 2)
    }

    fn collect(&self, course: &Course) -> Result<Collected<TitleV2, u8>> {
        let mut collected = Collected::new(course.structure().width(), 2);
        for block in course.structure().blocks() {
            let title = course.structure().key(block).block_id().to_owned();
            let length = u32::try_from(title.len()).ok();
            collected.set(block, TitleV2 { title, length });
        }
        Ok(collected)
    }

    fn decode_block(&self, entry: Entry<'_>) -> Result<TitleV2, DecodeError> {
        if entry.write_version() > WriteVersion::FIRST {
            return entry.decode();
        }
        let TitleV1 { title } = entry.decode()?;
        Ok(TitleV2 {
            title,
            length: None,
        })
    }
}

#[test]
fn each_release_reads_what_the_other_one_wrote() {
    fn release<T: Transformer>(store: &Arc<Store>, transformer: T) -> Manager {
        let mut registry = Registry::new();
        registry.register(transformer).unwrap();
        let courses = Graph::new(&[(0, 1)]);
        joined(Manager::new(
            Arc::clone(store),
            Arc::new(registry),
            Arc::new(courses),
        ))
    }
    let store = Arc::new(Store::with_engine(Arc::new(MemoryEngine::new())));
    let (old, new) = (release(&store, Release1), release(&store, Release2));
    let (course, block) = (course_key(), block_key(1));
    let title = || "001".to_owned();
    let by_old = || old.get_block(&course, &Release1, &block).unwrap().unwrap();
    let by_new = || new.get_block(&course, &Release2, &block).unwrap().unwrap();

    assert_eq!(by_old(), TitleV1 { title: title() });
    assert_eq!(
        by_new(),
        TitleV2 {
            title: title(),
            length: None
        }
    );
    new.update(&course, &courseblocks::UpdateOptions::default())
        .unwrap();
    assert_eq!(
        by_new(),
        TitleV2 {
            title: title(),
            length: Some(3)
        }
    );
    assert_eq!(by_old(), TitleV1 { title: title() });
    // Whole columns go through the same conversions.
    for manager in [&old, &new] {
        transformed(manager, &["titles"]);
    }
}
