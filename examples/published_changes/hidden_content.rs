//! `hidden_content` as the platform had it in spring 2021, before and after it moved to effective
//! dates: those that a learner has, not those that were published. Learners with an extension had
//! lost access to what is hidden after its due date, because that date was merged and stored when
//! the course was published.
//!
//! The platform published it in three parts: collect the new field (WRITE 3), use it (READ 3), and
//! no longer collect the old one (openedx-platform pull requests 27152, 27153 and 27154).

use courseblocks::modulestore::Course;
use courseblocks::record::{DecodeError, Entry};
use courseblocks::transformer::{Collected, Data, Transformation};
use courseblocks::{
    BlockIndex, Descendants, FieldValue, MinReader, ReadVersion, RemovalFilter, Result, Timestamp,
    Transformer, Unyielded, Versions, WriteVersion,
};
use serde::{Deserialize, Serialize};

pub(crate) const NAME: &str = "hidden_content";

const DUE: &str = "due";
const HIDE_AFTER_DUE: &str = "hide_after_due";

/// What version 2 stores for a block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Block2 {
    /// Whether the block, or all of its parents, hide after they are due.
    pub(crate) merged_hide_after_due: bool,
    /// The earliest due date of the block and what is above it, for the latest of several parents.
    pub(crate) merged_due_date: Timestamp,
    /// Whether learners keep their own pace; asked of the root.
    pub(crate) self_paced: bool,
    /// When the course ends; asked of the root.
    pub(crate) end: Option<Timestamp>,
}

/// What version 3 stores: the same, and the block's own due date at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Block3 {
    pub(crate) merged_hide_after_due: bool,
    pub(crate) merged_due_date: Timestamp,
    pub(crate) self_paced: bool,
    pub(crate) end: Option<Timestamp>,
    /// The published date; `None` too in what version 2 stored.
    pub(crate) due: Option<Timestamp>,
}

/// What is left once the merged date is dropped. That is no longer additive: whoever knows only
/// version 3 would take the flag for the date.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Block4 {
    pub(crate) merged_hide_after_due: bool,
    pub(crate) self_paced: bool,
    pub(crate) end: Option<Timestamp>,
    pub(crate) due: Option<Timestamp>,
}

/// Before the change: decides by the merged date, as a filter.
pub(crate) struct ByMergedDate;

/// Part 1: stores the own date as well, and decides as before.
pub(crate) struct CollectsOwnDate;

/// Part 2: decides by the date that the learner has. Whoever may have changed it must come first,
/// so it is no filter any more: filters run before everything else.
pub(crate) struct ByOwnDate;

/// Part 3: no longer stores the merged date.
pub(crate) struct WithoutMergedDate;

const fn version(version: u32) -> WriteVersion {
    WriteVersion::new(version).expect("it is not 0")
}

const fn versions(read: u32, write: u32) -> Versions {
    Versions::new(ReadVersion::new(read), version(write))
}

impl Transformer for ByMergedDate {
    type BlockData<'a> = Block2;
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        versions(2, 2)
    }

    fn collect(&self, course: &Course) -> Result<Collected<Block2, ()>> {
        Ok(collect(course, |merged, _| merged))
    }

    fn filters<'a>(
        &'a self,
        data: &'a Data<Block2, ()>,
        transformation: &mut Transformation<'_>,
    ) -> Option<Vec<RemovalFilter<'a>>> {
        Some(by_merged_date(transformation, |block| {
            data.block(block).cloned()
        }))
    }
}

impl Transformer for CollectsOwnDate {
    type BlockData<'a> = Block3;
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        versions(2, 3)
    }

    fn collect(&self, course: &Course) -> Result<Collected<Block3, ()>> {
        Ok(collect(course, |merged, due| Block3::new(&merged, due)))
    }

    // Needed until nothing of version 2 is left.
    fn decode_block(&self, entry: Entry<'_>) -> Result<Block3, DecodeError> {
        if entry.write_version() < version(3) {
            return Ok(Block3::new(&entry.decode()?, None));
        }
        entry.decode()
    }

    fn filters<'a>(
        &'a self,
        data: &'a Data<Block3, ()>,
        transformation: &mut Transformation<'_>,
    ) -> Option<Vec<RemovalFilter<'a>>> {
        Some(by_merged_date(transformation, |block| {
            data.block(block).map(Block3::merged)
        }))
    }
}

impl Transformer for ByOwnDate {
    type BlockData<'a> = Block3;
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        NAME
    }

    fn versions(&self) -> Versions {
        versions(3, 3)
    }

    fn collect(&self, course: &Course) -> Result<Collected<Block3, ()>> {
        Ok(collect(course, |merged, due| Block3::new(&merged, due)))
    }

    fn transform(&self, data: &Data<Block3, ()>, request: &mut Transformation<'_>) -> Result<()> {
        by_own_date(request, |block| {
            data.block(block).cloned().map(Block4::from)
        })
    }
}

impl Transformer for WithoutMergedDate {
    type BlockData<'a> = Block4;
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        NAME
    }

    // Nobody below 4 can decode it: going back a release then means to collect again.
    fn versions(&self) -> Versions {
        Versions {
            min_reader: MinReader::new(version(4)),
            ..versions(3, 4)
        }
    }

    fn collect(&self, course: &Course) -> Result<Collected<Block4, ()>> {
        Ok(collect(course, |merged, due| {
            Block3::new(&merged, due).into()
        }))
    }

    fn decode_block(&self, entry: Entry<'_>) -> Result<Block4, DecodeError> {
        if entry.write_version() < version(4) {
            let before: Block3 = entry.decode()?;
            return Ok(before.into());
        }
        entry.decode()
    }

    fn transform(&self, data: &Data<Block4, ()>, request: &mut Transformation<'_>) -> Result<()> {
        by_own_date(request, |block| data.block(block).cloned())
    }
}

impl Block3 {
    fn new(merged: &Block2, due: Option<Timestamp>) -> Self {
        Self {
            merged_hide_after_due: merged.merged_hide_after_due,
            merged_due_date: merged.merged_due_date,
            self_paced: merged.self_paced,
            end: merged.end,
            due,
        }
    }

    fn merged(&self) -> Block2 {
        Block2 {
            merged_hide_after_due: self.merged_hide_after_due,
            merged_due_date: self.merged_due_date,
            self_paced: self.self_paced,
            end: self.end,
        }
    }
}

impl From<Block3> for Block4 {
    fn from(before: Block3) -> Self {
        Self {
            merged_hide_after_due: before.merged_hide_after_due,
            self_paced: before.self_paced,
            end: before.end,
            due: before.due,
        }
    }
}

/// `data` is made of what is merged down the DAG, and of the block's own date.
fn collect<D>(course: &Course, data: impl Fn(Block2, Option<Timestamp>) -> D) -> Collected<D, ()> {
    let structure = course.structure();
    let mut merged: Vec<Option<(bool, Timestamp)>> = vec![None; structure.width()];
    let mut collected = Collected::new(structure.width(), ());
    for block in structure.topological(structure.root()) {
        let published = |name| course.field(block, name).and_then(FieldValue::as_date);
        let is_set = |value: Option<&FieldValue>| value.and_then(FieldValue::as_bool) == Some(true);
        let parents = structure.parents(block);
        let parents: Vec<_> = parents
            .filter_map(|parent| merged[parent.as_usize()])
            .collect();
        let all_hide = !parents.is_empty() && parents.iter().all(|parent| parent.0);
        let hides = all_hide || is_set(course.explicit_field(block, HIDE_AFTER_DUE));
        let own = course
            .explicit_field(block, DUE)
            .and_then(FieldValue::as_date);
        let above = parents.iter().map(|parent| parent.1).max();
        let due = above.into_iter().chain(own).min().unwrap_or(Timestamp::MAX);
        merged[block.as_usize()] = Some((hides, due));
        let block2 = Block2 {
            merged_hide_after_due: hides,
            merged_due_date: due,
            self_paced: is_set(course.field(block, "self_paced")),
            end: published("end"),
        };
        collected.set(block, data(block2, published(DUE)));
    }
    collected
}

fn by_merged_date<'a>(
    transformation: &Transformation<'_>,
    data: impl Fn(BlockIndex) -> Option<Block2> + 'a,
) -> Vec<RemovalFilter<'a>> {
    let user = transformation.user();
    if user.is_staff {
        return Vec::new();
    }
    let now = user.now;
    let root = data(transformation.root());
    let end = root.filter(|root| root.self_paced).map(|root| root.end);
    let is_hidden = move |block| {
        data(block).is_none_or(|data| {
            let until = match end {
                Some(end) => end.unwrap_or(Timestamp::MAX),
                None => data.merged_due_date,
            };
            data.merged_hide_after_due && now >= until
        })
    };
    vec![RemovalFilter::new(Descendants::Remove, is_hidden)]
}

fn by_own_date(
    request: &mut Transformation<'_>,
    data: impl Fn(BlockIndex) -> Option<Block4>,
) -> Result<()> {
    if request.user().is_staff {
        return Ok(());
    }
    let now = request.user().now;
    let root = data(request.root());
    let end = root.filter(|root| root.self_paced).map(|root| root.end);
    let mut is_hidden = vec![false; request.structure().width()];
    for block in request.structure().blocks() {
        is_hidden[block.as_usize()] = data(block).is_none_or(|data| {
            let until = match (end, request.outputs().field_override(DUE, block)) {
                (Some(end), _) => end,
                (None, Some(own)) => own.as_date(),
                (None, None) => data.due,
            };
            data.merged_hide_after_due && now >= until.unwrap_or(Timestamp::MAX)
        });
    }
    let is_hidden = |block: BlockIndex| is_hidden[block.as_usize()];
    let filter = RemovalFilter::new(Descendants::Remove, is_hidden);
    let structure = request.structure_mut();
    structure.remove_where(Unyielded::SkipDescendants, &mut [filter])
}
