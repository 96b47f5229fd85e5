//! Everything about one user and one request that transformers may ask for.
//!
//! It reaches `filters` and `transform` only: what is collected is the same for everybody.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use crate::field::FieldMap;
use crate::key::UsageKey;
use crate::modulestore::{GroupId, PartitionId};
use crate::timestamp::Timestamp;

/// Who asks, when, and for what. A host fills it from its own sessions and settings.
///
/// What is not filled in means the strict answer: an anonymous visitor who sees only what
/// everybody may see.
///
/// ```
/// use courseblocks::modulestore::{GroupId, PartitionId};
/// use courseblocks::{Timestamp, UserContext};
///
/// let now: Timestamp = "2026-03-01T12:00:00Z".parse()?;
/// let mut learner = UserContext::new(now);
/// learner.is_beta_tester = true;
/// // On the verified track, and in the second cohort.
/// learner.groups.insert(PartitionId::ENROLLMENT_TRACK, GroupId::new(2));
/// learner.groups.insert(PartitionId::new(1_234_567), GroupId::new(2));
/// # Ok::<(), courseblocks::InvalidTimestamp>(())
/// ```
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, named as the platform names them"
)]
pub struct UserContext {
    /// The moment at which dates are compared.
    pub now: Timestamp,
    /// Staff of the course or of the platform: sees what is hidden and not yet open.
    pub is_staff: bool,
    /// Sees content `days_early_for_beta` days before it opens.
    pub is_beta_tester: bool,
    /// Start dates in the future hide nothing in this request.
    pub allow_start_dates_in_future: bool,
    /// Start dates hide nothing on this platform.
    pub disable_start_dates: bool,
    /// Tell on the root whether start dates hid anything (`has_scheduled_content`).
    pub include_has_scheduled_content: bool,
    /// Keep what is hidden after its due date, marked as such, instead of removing it.
    pub show_hidden_content_without_links: bool,
    /// The user's group in each partition: cohorts, enrollment tracks, arms of experiments. Who
    /// has none in a partition sees nothing that it restricts.
    pub groups: BTreeMap<PartitionId, GroupId>,
    /// What a partition tells those whom it denies. What would have been removed stays then,
    /// marked with the message.
    pub denial_messages: BTreeMap<PartitionId, String>,
    /// Whether graded content is marked as kept for learners with full access. It is a fact about
    /// the learner's enrollment in this course; nothing is removed by it.
    pub content_gating_enabled: bool,
    /// Dates that this learner has instead of the published ones (`load_date_data`).
    pub dates: BTreeMap<UsageKey, LearnerDates>,
    /// Field values that this learner has instead of the published ones (`load_override_data`).
    pub field_overrides: BTreeMap<UsageKey, FieldMap>,
    /// What was drawn for this learner from item banks.
    pub selections: BTreeMap<UsageKey, Vec<UsageKey>>,
    /// What a draw depends on, beside the item bank. Without it nothing is drawn by chance:
    /// learners see what was drawn for them before, and what needs no choice.
    pub seed: Option<u64>,
    /// What the learner has to do first. Unknown means that a course's entrance exam is not passed.
    pub milestones: Option<LearnerMilestones>,
    /// Show sections that the learner has not unlocked yet.
    pub include_gated_sections: bool,
    /// Show timed and proctored exams, as where a platform has no special rules for them.
    pub include_special_exams: bool,
    /// What the exam service says of the learner's attempts, by exam.
    pub special_exam_info: BTreeMap<UsageKey, FieldMap>,
    /// The block types that `blocks_api:block_counts` counts.
    pub block_types_to_count: Vec<String>,
    /// How many levels below the root `blocks_api:block_depth` leaves; all without a number.
    pub requested_depth: Option<u32>,
    /// Down to which level `blocks_api:block_navigation` lists descendants block by block; it
    /// does nothing without a number.
    pub nav_depth: Option<u32>,
    /// The block types whose `student_view_data` is told.
    pub requested_student_view_data: Vec<String>,
    /// The client is the mobile app: it cannot play parts of videos.
    pub is_on_mobile: bool,
    /// Do not estimate effort for this course.
    pub disable_effort_estimation: bool,
    extensions: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl UserContext {
    /// An anonymous visitor at the moment `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            is_staff: false,
            is_beta_tester: false,
            allow_start_dates_in_future: false,
            disable_start_dates: false,
            include_has_scheduled_content: false,
            show_hidden_content_without_links: false,
            groups: BTreeMap::new(),
            denial_messages: BTreeMap::new(),
            content_gating_enabled: false,
            dates: BTreeMap::new(),
            field_overrides: BTreeMap::new(),
            selections: BTreeMap::new(),
            seed: None,
            milestones: None,
            include_gated_sections: false,
            include_special_exams: false,
            special_exam_info: BTreeMap::new(),
            block_types_to_count: Vec::new(),
            requested_depth: None,
            nav_depth: None,
            requested_student_view_data: Vec::new(),
            is_on_mobile: false,
            disable_effort_estimation: false,
            extensions: HashMap::new(),
        }
    }

    /// Adds a value of the host's own for its own transformers, one per type.
    pub fn insert<T: Any + Send + Sync>(&mut self, value: T) {
        self.extensions.insert(TypeId::of::<T>(), Box::new(value));
    }

    /// The value of type `T` that the host added.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.extensions.get(&TypeId::of::<T>())?.downcast_ref()
    }
}

/// Dates of one block that a learner has instead of the published ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LearnerDates {
    /// When the block opens. It is told to clients; `start_date` goes by what was published.
    pub start: Option<Timestamp>,
    /// When it is due.
    pub due: Option<Timestamp>,
    /// When it ends.
    pub end: Option<Timestamp>,
}

/// What a learner has to do before they may go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LearnerMilestones {
    /// The chapters that have to be finished first, such as an entrance exam. As long as there are
    /// any, no other chapter is shown.
    pub required_content: BTreeSet<UsageKey>,
    /// The learner is excused from the course's entrance exam.
    pub can_skip_entrance_exam: bool,
    /// The blocks for which something else has to be finished first.
    pub pending: BTreeSet<UsageKey>,
}

impl fmt::Debug for UserContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserContext")
            .field("now", &self.now)
            .field("is_staff", &self.is_staff)
            .field("is_beta_tester", &self.is_beta_tester)
            .field("extensions", &self.extensions.len())
            .finish_non_exhaustive()
    }
}
