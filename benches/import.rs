//! What an import costs: reading an export, and collecting it into a new store on sled, durable.
//! Prints the bytes that a block takes first.
//!
//! `cargo bench --bench import`

mod fleet;

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use courseblocks::modulestore::olx::{self, Limits};
use courseblocks::{Manager, Registry, Store, UpdateOptions};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SIZES: [usize; 2] = [500, 5_000];

fn import(c: &mut Criterion) {
    let mut group = c.benchmark_group("import");
    group.sample_size(20);
    for blocks in SIZES {
        let export = tempfile::tempdir().expect("a directory");
        write_export(export.path(), blocks);
        let read = || olx::read(export.path(), &Limits::default()).expect("a course");
        let course = read();
        let count = course.structure().len();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("read the export", blocks), |b| {
            b.iter(|| black_box(read()));
        });

        let key = course.key().clone();
        let modulestore = Arc::new(fleet::OneCourse(course));
        let registry = Arc::new(Registry::standard());
        let open = || {
            let directory = tempfile::tempdir().expect("a directory");
            let store = Store::open(directory.path().join("store")).expect("a store");
            let manager = Manager::new(Arc::new(store), registry.clone(), modulestore.clone());
            fleet::join(&manager);
            (directory, manager)
        };
        let update = |manager: &Manager| {
            manager
                .update(&key, &UpdateOptions::default())
                .expect("collected")
        };
        let (_directory, manager) = open();
        let published = update(&manager).published.expect("written");
        let disk = manager.store().engine().disk_bytes().expect("a size");
        println!(
            "{count} blocks: {} bytes of records, {} a block; {} a block on disk",
            published.bytes,
            published.bytes / count as u64,
            disk / count as u64
        );
        group.bench_function(BenchmarkId::new("collect and store", blocks), |b| {
            b.iter_batched(
                open,
                |opened| (update(&opened.1), opened),
                BatchSize::PerIteration,
            );
        });
    }
}

/// A course in the layout of Studio: containers and components in files of their own.
fn write_export(root: &Path, blocks: usize) {
    let write = |path: String, text: String| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
    };
    write(
        "course.xml".into(),
        r#"<course url_name="run" org="Bench" course="Import"/>"#.into(),
    );
    let verticals = blocks / 6;
    let (mut sequentials, mut chapters, mut course) = (String::new(), String::new(), String::new());
    for vertical in 0..verticals {
        let mut components = String::new();
        for component in 0..5 {
            let id = format!("c{vertical:05}{component}");
            let problem = format!(r#"<problem display_name="Problem {id}" max_attempts="3"/>"#);
            write(format!("problem/{id}.xml"), problem);
            let _ = write!(components, r#"<problem url_name="{id}"/>"#);
        }
        let title = format!("Unit {vertical}");
        let unit = format!(r#"<vertical display_name="{title}">{components}</vertical>"#);
        write(format!("vertical/v{vertical:05}.xml"), unit);
        let _ = write!(sequentials, r#"<vertical url_name="v{vertical:05}"/>"#);
        if vertical % 5 == 4 {
            let name = format!("s{vertical:05}");
            let children = std::mem::take(&mut sequentials);
            let lesson = format!(r#"<sequential display_name="{name}">{children}</sequential>"#);
            write(format!("sequential/{name}.xml"), lesson);
            let _ = write!(chapters, r#"<sequential url_name="{name}"/>"#);
        }
        if vertical % 50 == 49 || vertical + 1 == verticals {
            let name = format!("h{vertical:05}");
            let children = std::mem::take(&mut chapters);
            let chapter = format!(r#"<chapter display_name="{name}">{children}</chapter>"#);
            write(format!("chapter/{name}.xml"), chapter);
            let _ = write!(course, r#"<chapter url_name="{name}"/>"#);
        }
    }
    let attributes = r#"display_name="A course" start="2025-01-01T00:00:00Z""#;
    write(
        "course/run.xml".into(),
        format!("<course {attributes}>{course}</course>"),
    );
}

criterion_group!(benches, import);
criterion_main!(benches);
