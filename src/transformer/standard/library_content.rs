//! `library_content`: what a learner sees of an item bank.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::settled;
use crate::error::Result;
use crate::field::FieldValue;
use crate::key::UsageKey;
use crate::modulestore::Course;
use crate::structure::{BlockIndex, BlockStructure, Descendants, RemovalFilter};
use crate::transformer::{
    Collected, Data, Reach, Selection, Transformation, Transformer, UserContext,
};
use crate::version::Versions;

/// Removes the children of item banks that were not drawn for this learner, and draws where the
/// number of those that were is not `max_count` (all, where that is negative).
///
/// What was drawn before ([`UserContext::selections`]) stays, as far as it still belongs to the
/// bank: too many are reduced and too few completed at random. What changes so is in
/// [`Outputs::selections`](crate::transformer::Outputs::selections), for the host to save. A
/// child of a bank that no bank has selected is removed even where it has another parent. Staff
/// are not exempted.
///
/// Chance comes from [`UserContext::seed`]: the same seed draws the same from the same bank.
/// Without one nothing is left to chance: of too many the first ones stay, and of a pool that is
/// larger than what is missing nothing is added.
///
/// Source: `course_blocks/transformers/library_content.py` and `xmodule/item_bank_block.py`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LibraryContent;

/// What [`LibraryContent`] stores per block, for item banks and their children.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibraryContentBlock {
    /// How many children of the bank are shown; `None` for blocks that are no bank.
    pub max_count: Option<i64>,
    /// Where a child of a bank comes from; `None` for blocks that are no such child.
    pub block_analytics_summary: Option<AnalyticsSummary>,
}

/// Where a child of an item bank comes from, as learning analytics is told. The child's own key is
/// that of the block that it is stored for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalyticsSummary {
    /// The block of the library.
    pub original_usage_key: Option<String>,
    /// The library's version when it was copied.
    pub original_usage_version: Option<String>,
}

/// The types whose children are drawn for each learner.
const ITEM_BANKS: [&str; 2] = ["itembank", "library_content"];

/// How many children a bank shows that does not say.
const DEFAULT_MAX_COUNT: i64 = 1;

impl Transformer for LibraryContent {
    type BlockData<'a> = LibraryContentBlock;
    type CourseData<'a> = ();

    fn name(&self) -> &'static str {
        "library_content"
    }

    fn versions(&self) -> Versions {
        settled(1)
    }

    // A bank outside of what is looked at decides about children that it shares.
    fn reach(&self) -> Reach {
        Reach::Course
    }

    fn collect(&self, course: &Course) -> Result<Collected<LibraryContentBlock, ()>> {
        let structure = course.structure();
        let mut collected = Collected::new(structure.width(), ());
        let max_count = |block| {
            let max_count = course
                .field(block, "max_count")
                .and_then(FieldValue::as_int);
            is_item_bank(structure, block).then(|| max_count.unwrap_or(DEFAULT_MAX_COUNT))
        };
        for block in structure.blocks() {
            let mut parents = structure.parents(block);
            let is_childs_bank = parents.any(|parent| is_item_bank(structure, parent));
            let data = LibraryContentBlock {
                max_count: max_count(block),
                block_analytics_summary: is_childs_bank.then(|| summary(course, block)),
            };
            if data.max_count.is_some() || data.block_analytics_summary.is_some() {
                collected.set(block, data);
            }
        }
        Ok(collected)
    }

    fn filters<'a>(
        &'a self,
        data: &'a Data<LibraryContentBlock, ()>,
        transformation: &mut Transformation<'_>,
    ) -> Option<Vec<RemovalFilter<'a>>> {
        let structure = transformation.structure();
        let mut in_a_bank = vec![false; structure.width()];
        let mut is_selected = vec![false; structure.width()];
        let mut changed = Vec::new();
        for bank in structure.blocks() {
            let children: Vec<_> = structure.children(bank).collect();
            if children.is_empty() || !is_item_bank(structure, bank) {
                continue;
            }
            for child in &children {
                in_a_bank[child.as_usize()] = true;
            }
            // A bank of which nothing is known shows nothing.
            let max_count = data
                .block(bank)
                .and_then(|bank| bank.max_count)
                .unwrap_or(0);
            let key = structure.key(bank);
            let choice = Choice::make(structure, key, &children, max_count, transformation.user());
            for child in &choice.selected {
                is_selected[child.as_usize()] = true;
            }
            if choice.is_new() {
                changed.push((key.clone(), choice.named(structure)));
            }
        }
        for (bank, selection) in changed {
            transformation.outputs_mut().select(bank, selection);
        }
        let unselected =
            move |block: BlockIndex| in_a_bank[block.as_usize()] && !is_selected[block.as_usize()];
        Some(vec![RemovalFilter::new(Descendants::Remove, unselected)])
    }
}

/// Whether a learner sees only some of the block's children.
pub(super) fn is_item_bank(structure: &BlockStructure, block: BlockIndex) -> bool {
    ITEM_BANKS.contains(&structure.key(block).block_type())
}

fn summary(course: &Course, block: BlockIndex) -> AnalyticsSummary {
    let original = course
        .block(block)
        .and_then(|block| block.original.as_ref());
    AnalyticsSummary {
        original_usage_key: original.map(|original| original.key.to_string()),
        original_usage_version: original.and_then(|original| original.version.clone()),
    }
}

/// What one bank shows one learner.
struct Choice {
    selected: Vec<BlockIndex>,
    added: Vec<BlockIndex>,
    dropped: Vec<BlockIndex>,
}

impl Choice {
    fn make(
        structure: &BlockStructure,
        bank: &UsageKey,
        children: &[BlockIndex],
        max_count: i64,
        user: &UserContext,
    ) -> Self {
        let pool: HashSet<_> = children.iter().copied().collect();
        let stored = user.selections.get(bank).into_iter().flatten();
        let stored = stored.filter_map(|key| structure.position(key));
        let stored: Vec<_> = stored.filter(|block| pool.contains(block)).collect();
        let limit = usize::try_from(max_count).unwrap_or(children.len());

        let mut draw = user.seed.map(|seed| Draw::new(seed, bank));
        let mut chosen = HashSet::new();
        let mut kept = stored.clone();
        kept.retain(|block| chosen.insert(*block));
        let mut dropped = Vec::new();
        if kept.len() > limit {
            if let Some(draw) = &mut draw {
                draw.shuffle(&mut kept);
            }
            dropped = kept.split_off(limit);
        }
        let missing = limit - kept.len();
        let mut added = Vec::new();
        if missing > 0 {
            added.extend(children.iter().filter(|child| chosen.insert(**child)));
            match &mut draw {
                _ if added.len() <= missing => {}
                Some(draw) => {
                    draw.shuffle(&mut added);
                    added.truncate(missing);
                }
                None => added.clear(),
            }
        }
        // As it was stored, repeats included, unless something changes.
        let mut selected = stored;
        if !(added.is_empty() && dropped.is_empty()) {
            selected = kept;
            selected.extend(&added);
            if let Some(draw) = &mut draw {
                draw.shuffle(&mut selected);
            }
        }
        Self {
            selected,
            added,
            dropped,
        }
    }

    fn is_new(&self) -> bool {
        !(self.added.is_empty() && self.dropped.is_empty())
    }

    fn named(&self, structure: &BlockStructure) -> Selection {
        let keys = |blocks: &[BlockIndex]| {
            let keys = blocks.iter().map(|block| structure.key(*block).clone());
            keys.collect()
        };
        Selection {
            selected: keys(&self.selected),
            added: keys(&self.added),
            dropped: keys(&self.dropped),
        }
    }
}

/// Chance that can be repeated: `SplitMix64`, begun with the seed and the bank, so that two banks of
/// one learner are drawn from independently. A release must draw as the one before it did only
/// until the draw is saved.
struct Draw(u64);

impl Draw {
    fn new(seed: u64, bank: &UsageKey) -> Self {
        // FNV-1a.
        let begin = 0xcbf2_9ce4_8422_2325_u64;
        let hash = bank.to_string().bytes().fold(begin, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut draw = Self(hash);
        Self(draw.next() ^ seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is small: the bias is far below what can be noticed.
    fn below(&mut self, end: usize) -> usize {
        let product = u128::from(self.next()) * end as u128;
        usize::try_from(product >> 64).unwrap_or(0)
    }

    fn shuffle(&mut self, blocks: &mut [BlockIndex]) {
        for end in (2..=blocks.len()).rev() {
            blocks.swap(end - 1, self.below(end));
        }
    }
}
