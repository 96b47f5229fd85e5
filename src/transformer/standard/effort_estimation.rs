//! `effort_estimation`: how long it takes to work through a block.

use serde::{Deserialize, Serialize};

use super::markup::{attribute, word_count};
use super::settled;
use crate::error::Result;
use crate::field::FieldValue;
use crate::modulestore::{Block, Body, Course};
use crate::structure::BlockIndex;
use crate::transformer::{Collected, Data, Reach, Transformation, Transformer};
use crate::version::Versions;

/// Estimates how many seconds it takes to read and watch what is in a block (`effort_time`), and
/// how many activities there are in it that no time is known for (`effort_activities`).
///
/// Text is read at 265 words a minute, markup and comments not counted. A video takes as long as
/// the part of it that is shown; on mobile clients, which cannot show a part, as long as all of it,
/// and nothing where it is not for them. Every other component is an activity, and all of those in
/// a vertical together are one. Times are rounded up at every level. Nothing is told where nothing
/// takes time.
///
/// Where a single page is nothing but white space, or a single video has no known duration, nothing
/// is estimated for the whole course: the original takes no estimate for better than a wrong one.
/// Durations are those that exports have (`video_asset`), or that the module store gives in a field
/// `duration`, in seconds.
///
/// Left out: the speed at which a learner likes to watch. The original asks for it while it
/// collects, when there is no learner, so there it is always 1 too.
///
/// Source: `features/effort_estimation/block_transformers.py`.
#[derive(Clone, Copy, Debug, Default)]
pub struct EffortEstimation;

/// What [`EffortEstimation`] stores per page and video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EffortEstimationBlock {
    /// The words of a page.
    pub html_word_count: Option<u32>,
    /// The seconds that a video takes.
    pub video_duration: Option<f64>,
    /// The seconds that the part takes which is shown, where the author chose one.
    pub video_clip_duration: Option<f64>,
    /// Whether a video is not for mobile clients.
    pub only_on_web: bool,
}

/// What [`EffortEstimation`] stores for the course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffortEstimationCourse {
    /// Whether something is missing without which nothing is estimated.
    pub disable_estimation: bool,
}

const HTML: &str = "html";
const VIDEO: &str = "video";
const VERTICAL: &str = "vertical";
const CONTAINERS: [&str; 3] = ["chapter", "course", "sequential"];

const EFFORT_TIME: &str = "effort_time";
const EFFORT_ACTIVITIES: &str = "effort_activities";

const WORDS_PER_MINUTE: f64 = 265.0;

impl Transformer for EffortEstimation {
    type BlockData<'a> = EffortEstimationBlock;
    type CourseData<'a> = EffortEstimationCourse;

    fn name(&self) -> &'static str {
        "effort_estimation"
    }

    fn versions(&self) -> Versions {
        settled(1)
    }

    fn reach(&self) -> Reach {
        Reach::Subtree
    }

    fn collect(
        &self,
        course: &Course,
    ) -> Result<Collected<EffortEstimationBlock, EffortEstimationCourse>> {
        let structure = course.structure();
        let mut measured = Vec::new();
        let mut disable_estimation = false;
        for block in structure.blocks() {
            let Some(source) = course.block(block) else {
                continue;
            };
            let effort = match structure.key(block).block_type() {
                HTML => page(source),
                VIDEO => video(source, course, block),
                _ => continue,
            };
            disable_estimation |= effort.is_none();
            measured.extend(effort.map(|effort| (block, effort)));
        }
        let for_course = EffortEstimationCourse { disable_estimation };
        let mut collected = Collected::new(structure.width(), for_course);
        if !disable_estimation {
            for (block, effort) in measured {
                collected.set(block, effort);
            }
        }
        Ok(collected)
    }

    fn transform(
        &self,
        data: &Data<EffortEstimationBlock, EffortEstimationCourse>,
        transformation: &mut Transformation<'_>,
    ) -> Result<()> {
        let is_disabled = data.course().is_none_or(|course| course.disable_estimation);
        let user = transformation.user();
        if is_disabled || user.disable_effort_estimation {
            return Ok(());
        }
        let is_on_mobile = user.is_on_mobile;
        let (structure, outputs) = transformation.split();
        let mut efforts = vec![UNKNOWN; structure.width()];
        for block in structure.post_order(structure.root()) {
            let below = || {
                let children = structure.children(block);
                let efforts = children.map(|child| efforts[child.as_usize()]);
                efforts.fold(Effort::default(), Effort::plus)
            };
            let measured = data.block(block);
            let effort = match structure.key(block).block_type() {
                HTML => Effort::of_seconds(measured.and_then(EffortEstimationBlock::reading)),
                VIDEO => {
                    let watching = measured.and_then(|video| video.watching(is_on_mobile));
                    Effort::of_seconds(watching)
                }
                VERTICAL => {
                    let below = below();
                    Effort {
                        activities: below.activities.min(1),
                        ..below
                    }
                }
                container if CONTAINERS.contains(&container) => below(),
                _ => continue,
            };
            efforts[block.as_usize()] = effort;
            if effort.seconds > 0 {
                let times = outputs.field_overrides(EFFORT_TIME);
                times.set(block, FieldValue::Int(effort.seconds));
            }
            let activities = outputs.field_overrides(EFFORT_ACTIVITIES);
            activities.set(block, FieldValue::Int(effort.activities));
        }
        Ok(())
    }
}

impl EffortEstimationBlock {
    fn reading(&self) -> Option<f64> {
        let words = self.html_word_count?;
        // In this order, as the original rounds.
        Some(f64::from(words) / WORDS_PER_MINUTE * 60.0)
    }

    fn watching(&self, is_on_mobile: bool) -> Option<f64> {
        if is_on_mobile {
            self.video_duration.filter(|_| !self.only_on_web)
        } else {
            self.video_clip_duration.or(self.video_duration)
        }
    }
}

/// What a block takes. Both can grow without bound where edges are repeated.
#[derive(Clone, Copy, Default)]
struct Effort {
    seconds: i64,
    activities: i64,
}

/// A component that no time is known for.
const UNKNOWN: Effort = Effort {
    seconds: 0,
    activities: 1,
};

impl Effort {
    fn of_seconds(seconds: Option<f64>) -> Self {
        Self {
            seconds: seconds.map_or(0, rounded_up),
            activities: 0,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            seconds: self.seconds.saturating_add(other.seconds),
            activities: self.activities.saturating_add(other.activities),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a number beyond the range becomes the end of the range"
)]
fn rounded_up(seconds: f64) -> i64 {
    seconds.ceil() as i64
}

/// `None` for a page of white space alone, which the original cannot parse. An empty one it can.
fn page(block: &Block) -> Option<EffortEstimationBlock> {
    let text = match &block.body {
        Body::None => "",
        Body::Text { text, .. } => text,
    };
    let words = word_count(text);
    let is_unreadable = !text.is_empty() && text.trim().is_empty();
    (!is_unreadable).then_some(EffortEstimationBlock {
        html_word_count: Some(words),
        video_duration: None,
        video_clip_duration: None,
        only_on_web: false,
    })
}

/// `None` for a video of which nobody knows how long it is.
fn video(block: &Block, course: &Course, position: BlockIndex) -> Option<EffortEstimationBlock> {
    let given = course
        .field(position, "duration")
        .and_then(FieldValue::as_float);
    let duration = given.or_else(|| match &block.body {
        Body::None => None,
        Body::Text { text, .. } => attribute(text, "video_asset", "duration")?.parse().ok(),
    });
    let duration = duration.filter(|seconds| *seconds > 0.0)?;
    let moment = |name| {
        let value = course.field(position, name);
        value
            .or_else(|| block.xml_attributes.get(name))
            .and_then(seconds)
    };
    let end = moment("end_time").unwrap_or(0.0);
    let clip = end - moment("start_time").unwrap_or(0.0);
    let only_on_web = course.field(position, "only_on_web");
    Some(EffortEstimationBlock {
        html_word_count: None,
        video_duration: Some(duration),
        video_clip_duration: (clip > 0.0).then_some(clip),
        only_on_web: only_on_web.and_then(FieldValue::as_bool).unwrap_or(false),
    })
}

/// A moment in a video: seconds, or `HH:MM:SS`.
fn seconds(value: &FieldValue) -> Option<f64> {
    let text = match value {
        FieldValue::Seconds(seconds) => return FieldValue::Int(*seconds).as_float(),
        FieldValue::String(text) => text.trim_matches('"'),
        other => return other.as_float(),
    };
    let parts: Vec<u32> = text
        .split(':')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    match parts[..] {
        [hours, minutes, seconds] => {
            Some(f64::from(hours) * 3600.0 + f64::from(minutes) * 60.0 + f64::from(seconds))
        }
        [seconds] => Some(f64::from(seconds)),
        _ => None,
    }
}
