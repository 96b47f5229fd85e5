//! Everything about one user and one request that transformers may ask for.
//!
//! It reaches `filters` and `transform` only: what is collected is the same for everybody.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;

use crate::timestamp::Timestamp;

/// Who asks, when, and for what. A host fills it from its own sessions and settings.
///
/// What is not filled in means the strict answer: an anonymous visitor who sees only what
/// everybody may see.
///
/// ```
/// use courseblocks::{Timestamp, UserContext};
///
/// let now: Timestamp = "2026-03-01T12:00:00Z".parse()?;
/// let mut user = UserContext::new(now);
/// user.is_beta_tester = true;
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
    /// The block types that `blocks_api:block_counts` counts.
    pub block_types_to_count: Vec<String>,
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
            block_types_to_count: Vec::new(),
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
