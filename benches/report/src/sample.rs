//! Small results for tests.

use std::collections::BTreeMap;

use crate::results::{Figure, Headline, Machine, Point, Results, SCHEMA, Series, Unit};
use crate::spread::Spread;

pub(crate) fn spread(value: f64) -> Spread {
    Spread {
        median: value,
        p10: value,
        p90: value,
        rounds: 1,
    }
}

pub(crate) fn figure() -> Figure {
    let point = |x: f64, ratio: f64, absolute: f64| Point {
        x,
        ratio: spread(ratio),
        absolute: spread(absolute),
    };
    let series = |contender: &str, points: Vec<Point>| Series {
        contender: contender.to_owned(),
        points,
    };
    Figure {
        key: "header_reject_vs_get".to_owned(),
        title: "Refusing <records>".to_owned(),
        reference: "bare sled".to_owned(),
        x: "bytes of the record".to_owned(),
        unit: Unit::Seconds,
        series: vec![
            series(
                "bare sled",
                vec![point(1024.0, 1.0, 2e-7), point(2_097_152.0, 1.0, 2e-7)],
            ),
            series(
                "courseblocks, outdated & refused",
                vec![point(1024.0, 1.5, 3e-7), point(2_097_152.0, 1.4, 2.8e-7)],
            ),
            series("LMDB", vec![point(1024.0, 0.7, 1.4e-7)]),
        ],
    }
}

pub(crate) fn results() -> Results {
    let headline = Headline {
        ratio: spread(1.5),
        at: "courseblocks, outdated, 1024 bytes of the record".to_owned(),
    };
    Results {
        schema: SCHEMA,
        date: "2026-03-01T12:00:00Z".to_owned(),
        quick: true,
        seconds: 42.0,
        machine: Machine {
            cpu: "A processor".to_owned(),
            cores: 2,
            memory_bytes: 8 << 30,
            kernel: "6.1".to_owned(),
        },
        versions: BTreeMap::from([("sled".to_owned(), "0.34.7".to_owned())]),
        left_out: vec!["the original: python3 does not run".to_owned()],
        figures: vec![figure()],
        ratios: BTreeMap::from([("header_reject_vs_get".to_owned(), headline)]),
    }
}
