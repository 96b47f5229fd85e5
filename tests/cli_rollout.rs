//! Rollouts as an operator meets them: the real program, often several at a time on one store, its
//! answers and its exit status.

#![cfg(feature = "cli")]

mod program;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use courseblocks::modulestore::olx::{self, Limits};
use courseblocks::modulestore::{Course, ModuleStore, SourceVersion};
use courseblocks::rollout::{Fleet, Registration, Rollout, Start};
use courseblocks::transformer::Collected;
use courseblocks::{
    CourseKey, Manager, ReadVersion, Registry, Store, Timestamp, Transformer, UpdateOptions,
    Versions, WriteVersion,
};
use program::{Program, Run, with_json, write_course};
use serde_json::{Value, json};

// The queue.

#[test]
fn what_is_outdated_is_enqueued_and_worked_off() {
    let program = Program::new();
    let [first, second, third] = import_three(&program);
    change(&program, "a");
    change(&program, "b");

    let run = program.run(&["update", "--all", "--enqueue", "--dry-run"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(
        run.stdout.lines().last(),
        Some("2 would be enqueued, 1 up to date")
    );
    assert_eq!(tasks(&program), json!([]));

    let run = program.run(&["update", "--all", "--enqueue"]);
    let because = "whole, because the source has changed";
    let said = format!(
        "{first}: enqueued: to collect {because}\n{second}: enqueued: to collect {because}\n\
         {third}: up to date\n2 enqueued, 0 were there already, 1 up to date\n"
    );
    assert_eq!((run.status, run.stdout), (0, said));
    let answer = program.json(&["update", "--all", "--enqueue"]);
    let outcomes = column(&answer["courses"], "outcome");
    assert_eq!(outcomes, ["on_queue", "on_queue", "up_to_date"]);
    assert_eq!(answer["on_queue"], 2, "{answer}");

    let status = program.json(&["queue", "status"]);
    assert_eq!(
        (&status["ready"], &status["publishes"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(column(&status["tasks"], "priority"), ["publish", "publish"]);
    let run = program.run(&["queue", "status"]);
    assert!(
        run.stdout.contains("2 ready (2 for new content)"),
        "{run:?}"
    );
    assert!(
        run.stdout
            .contains(&format!("ready       {first} (new content)")),
        "{run:?}"
    );

    let run = program.run(&["worker", "--until-empty"]);
    assert_eq!(run.status, 0, "{run:?}");
    for course in [&first, &second] {
        let done = format!("done      {course}: collected {because} (");
        assert!(run.stdout.contains(&done), "{run:?}");
    }
    let summary = "2 tasks done, 0 failed; the queue is empty";
    assert_eq!(run.stdout.lines().last(), Some(summary));
    assert_eq!(tasks(&program), json!([]));
    let run = program.run(&["update", "--all", "--dry-run"]);
    assert_eq!(run.stdout.matches("up to date").count(), 3, "{run:?}");
}

#[test]
fn new_content_goes_before_what_is_only_outdated() {
    let program = Program::new();
    let [first, second, third] = import_three_with(&program, registry((1, 3)));
    change(&program, "b");
    let run = program.run(&["update", "--all", "--enqueue"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(
        run.stdout
            .contains(&format!("{first}: enqueued: to collect hidden_content")),
        "{run:?}"
    );
    let answer = program.json(&["worker", "--until-empty", "--jobs", "1"]);
    assert_eq!(
        column(&answer["tasks"], "course_key"),
        [second, first, third]
    );
    assert_eq!(answer["tasks"][0]["reason"], "source_changed");
    assert_eq!(
        answer["tasks"][1]["transformers"],
        json!(["hidden_content"])
    );
    assert_eq!(column(&answer["tasks"], "outcome"), ["done"; 3]);
    assert_eq!(answer["done"], 3);
    assert_eq!(answer["ended"], "empty");
}

#[test]
fn a_task_does_not_remember_that_it_was_forced() {
    let run = Program::new().run(&["update", "--all", "--enqueue", "--force"]);
    assert_eq!(run.status, 2, "{run:?}");
    assert!(run.stderr.contains("--force"), "{run:?}");
}

#[test]
fn a_course_that_keeps_failing_is_quarantined_and_cured_by_a_retry() {
    let program = Program::new();
    let [course, other, _] = import_three(&program);
    enqueue(&program, ["a", "b"]);
    fs::rename(program.path("exports/a"), program.path("away")).unwrap();
    let worker = [
        "worker",
        "--until-empty",
        "--attempts",
        "3",
        "--retry-delay",
        "0.01",
    ];

    let run = program.run(&worker);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(
        run.stdout.contains(&format!("done      {other}: ")),
        "{run:?}"
    );
    assert!(
        run.stdout
            .ends_with("1 task done, 1 failed; the queue is empty\n"),
        "{run:?}"
    );
    let failures = format!("error: {course}: the source of {course} is not usable");
    assert_eq!(run.stderr.matches(&failures).count(), 3, "{run:?}");
    let advice = format!("in quarantine from now on; `queue retry {course}` tries again");
    assert!(run.stderr.contains(&advice), "{run:?}");
    let named = format!("in quarantine: {course} after 3 attempts: ");
    assert!(run.stderr.contains(&named), "{run:?}");

    // Nothing of this run, but somebody must look at it.
    let run = program.run(&with_json(&worker));
    assert_eq!(run.status, 1, "{run:?}");
    let answer = run.json();
    assert_eq!(
        (&answer["failed"], &answer["in_quarantine"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(answer["quarantined"][0]["course_key"], course);
    assert_eq!(answer["quarantined"][0]["attempts"], 3);

    let task = &tasks(&program)[0];
    assert_eq!(
        (&task["state"], &task["attempts"]),
        (&json!("quarantined"), &json!(3))
    );
    assert!(
        task["error"].as_str().unwrap().contains("not usable"),
        "{task}"
    );
    let run = program.run(&["queue", "status"]);
    let line = format!("  quarantine  {course} (new content), after 3 attempts: ");
    assert!(run.stdout.contains(&line), "{run:?}");
    let history = program.run(&["rollout", "history"]);
    let told = format!("{course} was put into quarantine after 3 attempts: ");
    assert!(history.stdout.contains(&told), "{history:?}");

    fs::rename(program.path("away"), program.path("exports/a")).unwrap();
    let run = program.run(&["queue", "retry"]);
    assert_eq!(
        (run.status, run.stdout),
        (0, format!("{course}: ready again\n"))
    );
    let run = program.run(&["queue", "retry"]);
    assert_eq!(
        (run.status, run.stdout.as_str()),
        (0, "no course is in quarantine\n")
    );
    let run = program.run(&["queue", "retry", &course]);
    let said = format!("{course}: on the queue, and did not fail\n");
    assert_eq!((run.status, run.stdout), (0, said));
    let run = program.run(&worker);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(
        run.stdout.contains(&format!("done      {course}: ")),
        "{run:?}"
    );
}

#[test]
fn a_course_that_fails_and_then_succeeds_did_not_fail() {
    let program = Program::new();
    let [course, ..] = import_three(&program);
    enqueue(&program, ["a"]);
    fs::rename(program.path("exports/a"), program.path("away")).unwrap();
    let mut worker = program.start(&["worker", "--until-empty", "--retry-delay", "0.5"]);
    worker.until(&format!("error: {course}: "));
    let task = &tasks(&program)[0];
    assert!(["delayed", "ready", "claimed"].contains(&task["state"].as_str().unwrap()));
    fs::rename(program.path("away"), program.path("exports/a")).unwrap();
    let run = worker.run();
    assert_eq!(run.status, 0, "{run:?}");
    assert!(
        run.stdout
            .ends_with("1 task done, 0 failed; the queue is empty\n"),
        "{run:?}"
    );
    assert!(run.stderr.contains("(tried again at "), "{run:?}");
}

#[test]
fn tasks_are_dropped_by_course_and_what_nobody_knows_is_told() {
    let program = Program::new();
    let [first, second, _] = import_three(&program);
    enqueue(&program, ["a", "b"]);
    let run = program.run(&["queue", "drop", &first]);
    assert_eq!((run.status, run.stdout), (0, format!("{first}: dropped\n")));
    let run = program.run(&["queue", "drop", &first]);
    assert_eq!(
        (run.status, run.stdout),
        (0, format!("{first}: not on the queue\n"))
    );
    let answer = program.json(&["queue", "drop", &first, &second]);
    assert_eq!(column(&answer["courses"], "outcome"), ["absent", "changed"]);
    let answer = program.json(&["queue", "drop", "--quarantined"]);
    assert_eq!(answer["courses"], json!([]));
    for command in ["drop", "retry"] {
        let run = program.run(&["queue", command, "course-v1:No+Such+Course"]);
        run.is_refused(1, &["course-v1:No+Such+Course", "is not stored"]);
    }
    assert_eq!(program.run(&["queue", "drop"]).status, 2);
    assert_eq!(program.run(&["queue"]).status, 2);
}

#[test]
fn a_long_queue_is_listed_whole_only_on_demand() {
    let program = Program::new();
    let names: Vec<_> = (0..13).map(|number| format!("c{number:02}")).collect();
    for name in &names {
        write_course(&program.path("exports").join(name), name, "First", 1);
    }
    program.import("exports");
    for name in &names {
        change(&program, name);
    }
    program.run(&["update", "--all", "--enqueue"]);
    let answer = program.json(&["queue", "status"]);
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 10);
    assert_eq!(answer["tasks_not_listed"], 3);
    let run = program.run(&["queue", "status"]);
    let last = "… and 3 more tasks; --all lists every one";
    assert_eq!(run.stdout.lines().last(), Some(last));
    let answer = program.json(&["queue", "status", "--all"]);
    assert_eq!(answer["tasks"].as_array().unwrap().len(), 13);
}

#[test]
fn what_can_be_done_now_is_listed_before_what_failed() {
    let program = Program::new();
    let [first, second, third] = import_three_with(&program, registry((1, 3)));
    enqueue(&program, ["a"]);
    fs::rename(program.path("exports/a"), program.path("away")).unwrap();
    // It takes the new content, fails, and leaves the others alone for 1,000 seconds.
    let slowly = ["--jobs", "1", "--rate", "0.001/s", "--retry-delay", "1000"];
    let mut worker = program.start(&[&["worker"][..], &slowly].concat());
    worker.until(&format!("error: {first}: "));
    worker.signal("INT");
    let run = worker.run();
    assert_eq!(
        run.status, 1,
        "it was asked to end, but a course failed: {run:?}"
    );
    assert!(
        run.stdout
            .ends_with("0 tasks done, 1 failed; 3 tasks are left\n"),
        "{run:?}"
    );
    let tasks = tasks(&program);
    assert_eq!(column(&tasks, "state"), ["ready", "ready", "delayed"]);
    assert_eq!(column(&tasks, "course_key"), [second, third, first.clone()]);
    let run = program.run(&["queue", "retry", &first]);
    assert_eq!(
        (run.status, run.stdout),
        (0, format!("{first}: ready again\n"))
    );
}

// Pausing and limiting.

#[test]
fn a_pause_holds_until_it_is_ended_and_says_whose_it_is() {
    let program = Program::new();
    import_three(&program);
    let run = program.run(&["pause", "--worker", "operator"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stdout.starts_with("paused: "), "{run:?}");
    let run = program.run(&["pause"]);
    assert!(
        run.stdout
            .starts_with("was paused already, by operator at "),
        "{run:?}"
    );
    let answer = program.json(&["pause"]);
    assert_eq!(
        (&answer["paused"], &answer["changed"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(answer["by"], "operator");
    let status = program.json(&["queue", "status"]);
    assert_eq!(status["paused"]["by"], "operator");
    let run = program.run(&["queue", "status"]);
    assert!(run.stdout.contains("paused by operator at "), "{run:?}");
    // There is nothing to wait for.
    let run = program.run(&["worker", "--until-empty"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(
        run.stderr
            .contains("note: the queue is paused, by operator"),
        "{run:?}"
    );

    let run = program.run(&["resume"]);
    assert!(run.stdout.starts_with("resumed: "), "{run:?}");
    let run = program.run(&["resume"]);
    assert_eq!((run.status, run.stdout.as_str()), (0, "was not paused\n"));
    let answer = program.json(&["resume"]);
    assert_eq!(
        (&answer["paused"], &answer["changed"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(program.json(&["queue", "status"])["paused"], Value::Null);
}

#[test]
fn a_worker_that_runs_is_paused_limited_and_resumed_by_others() {
    let program = Program::new();
    let [course, ..] = import_three(&program);
    enqueue(&program, ["a"]);
    program.run(&["pause", "--worker", "operator"]);
    let mut worker = program.start(&["worker", "--until-empty"]);
    worker.until("note: the queue is paused, by operator");
    assert_eq!(tasks(&program)[0]["state"], "ready");
    let run = program.run(&["queue", "rate", "0.5/s"]);
    let said = "all workers together take at most 0.5/s courses\n";
    assert_eq!((run.status, run.stdout.as_str()), (0, said));
    worker.until("note: all workers together take at most 0.5/s");
    program.run(&["queue", "rate", "none"]);
    worker.until("note: there is no limit any more");
    assert_eq!(program.run(&["resume"]).status, 0);
    worker.until("note: the queue is resumed");
    let run = worker.run();
    assert_eq!(run.status, 0, "{run:?}");
    assert!(
        run.stdout.contains(&format!("done      {course}: ")),
        "{run:?}"
    );
}

#[test]
fn a_limit_holds_until_it_is_taken_away() {
    let program = Program::new();
    import_three(&program);
    let run = program.run(&["worker", "--until-empty", "--rate", "2.5/s"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stderr.contains("take at most 2.5/s"), "{run:?}");
    assert_eq!(program.json(&["queue", "status"])["limit_per_second"], 2.5);
    let run = program.run(&["queue", "rate", "2.5"]);
    assert!(run.stdout.ends_with(", as before\n"), "{run:?}");
    let run = program.run(&["queue", "status"]);
    assert!(
        run.stdout.contains("limited to 2.5/s for all workers"),
        "{run:?}"
    );
    let answer = program.json(&["queue", "rate", "none"]);
    assert_eq!(
        answer,
        json!({ "schema": 1, "limit_per_second": null, "changed": true })
    );
    assert_eq!(
        program.json(&["queue", "status"])["limit_per_second"],
        Value::Null
    );
    for wrong in ["0", "-1", "fast", "0.0001/s"] {
        assert_eq!(program.run(&["queue", "rate", wrong]).status, 2, "{wrong}");
    }
}

#[test]
fn nobody_works_faster_than_the_limit() {
    let program = Program::new();
    import_three(&program);
    enqueue(&program, ["a", "b", "c"]);
    let begun = std::time::Instant::now();
    let run = program.run(&["worker", "--until-empty", "--jobs", "3", "--rate", "10/s"]);
    assert_eq!(run.status, 0, "{run:?}");
    // Two intervals lie between three courses; a slow machine only makes it longer.
    assert!(begun.elapsed() >= Duration::from_millis(200), "{run:?}");
}

// Workers and their end.

#[test]
fn a_worker_that_is_interrupted_leaves_in_order() {
    for signal in ["INT", "TERM"] {
        let program = Program::new();
        import_three(&program);
        let arguments = ["worker", "--worker", "mine", "--release", "r1"];
        let worker = program.start(&with_json(&arguments));
        await_workers(&program, &["mine"]);
        worker.signal(signal);
        let run = worker.run();
        assert_eq!(run.status, 0, "{run:?}");
        assert!(
            run.stderr.contains("note: finishing what is under way"),
            "{run:?}"
        );
        let answer = run.json();
        assert_eq!(answer["ended"], "asked");
        assert_eq!((&answer["tasks"], &answer["done"]), (&json!([]), &json!(0)));
        assert_eq!(workers(&program), json!([]), "it has left the fleet");
    }
}

#[test]
fn an_interrupted_worker_leaves_the_rest_to_others() {
    let program = Program::new();
    import_three(&program);
    enqueue(&program, ["a", "b", "c"]);
    // It takes one course, and the next one after 1,000 seconds.
    let mut worker = program.start(&["worker", "--jobs", "1", "--rate", "0.001/s"]);
    worker.until("note: all workers together take at most");
    await_tasks(&program, 2);
    worker.signal("INT");
    let run = worker.run();
    assert_eq!(run.status, 0, "{run:?}");
    assert!(
        run.stdout
            .ends_with("1 task done, 0 failed; 2 tasks are left\n"),
        "{run:?}"
    );
    assert_eq!(program.run(&["queue", "rate", "none"]).status, 0);
    let answer = program.json(&["worker", "--until-empty"]);
    assert_eq!(answer["done"], 2);
}

#[test]
fn a_second_ctrl_c_ends_a_worker_at_once() {
    let program = Program::new();
    import_three(&program);
    let owner = program.start(&["worker", "--worker", "owner"]);
    await_workers(&program, &["owner"]);
    let mut guest = program.start(&["worker", "--worker", "guest"]);
    await_workers(&program, &["guest", "owner"]);
    // The other one waits for an answer, so that it cannot finish.
    owner.signal("STOP");
    while !guest.has_ended() {
        guest.signal("INT");
        std::thread::yield_now();
    }
    assert_eq!(guest.end().0, Some(130));
    owner.signal("CONT");
    owner.signal("INT");
    assert_eq!(owner.run().status, 0);
}

#[test]
fn two_workers_share_the_work() {
    let program = Program::new();
    let names: Vec<_> = (0..20).map(|number| format!("c{number:02}")).collect();
    let mut courses = BTreeSet::new();
    for name in &names {
        courses.insert(write_course(
            &program.path("exports").join(name),
            name,
            "First",
            1,
        ));
    }
    program.import("exports");
    for name in &names {
        change(&program, name);
    }
    program.run(&["pause"]);
    assert_eq!(program.run(&["update", "--all", "--enqueue"]).status, 0);
    let worker = |name| program.start(&with_json(&["worker", "--worker", name, "--until-empty"]));
    let both = [worker("one"), worker("two")];
    await_workers(&program, &["one", "two"]);
    program.run(&["resume"]);
    let mut done = Vec::new();
    for worker in both {
        let run = worker.run();
        assert_eq!(run.status, 0, "{run:?}");
        done.extend(column(&run.json()["tasks"], "course_key"));
    }
    assert_eq!(done.len(), courses.len(), "each was done once");
    assert_eq!(done.into_iter().collect::<BTreeSet<_>>(), courses);
    assert_eq!(tasks(&program), json!([]));
}

#[test]
fn a_worker_that_is_killed_hinders_nobody_for_longer_than_its_lease() {
    let program = Program::new();
    import_three(&program);
    enqueue(&program, ["a", "b", "c"]);
    program.run(&["pause"]);
    // It is the one that has the store open.
    let killed = program.start(&["worker", "--worker", "killed", "--lease", "1"]);
    await_workers(&program, &["killed"]);
    let other = program.start(&["worker", "--worker", "other", "--until-empty"]);
    await_workers(&program, &["killed", "other"]);
    killed.signal("KILL");
    assert_eq!(killed.end().0, None);
    assert_eq!(program.run(&["resume"]).status, 0);
    let run = other.run();
    assert_eq!(run.status, 0, "{run:?}");
    assert!(
        run.stdout
            .ends_with("3 tasks done, 0 failed; the queue is empty\n"),
        "{run:?}"
    );
    let fleet = program.json(&["rollout", "fleet"]);
    assert_eq!(fleet["workers"][0]["worker"], "killed");
    let run = program.run(&["rollout", "start", "start_date"]);
    assert_eq!(run.status, 0, "{run:?}");
}

#[test]
fn a_worker_outlives_the_process_that_has_the_store_open() {
    let program = Program::new();
    let names: Vec<_> = (0..40).map(|number| format!("c{number:02}")).collect();
    for name in &names {
        write_course(&program.path("exports").join(name), name, "First", 1);
    }
    program.import("exports");
    for name in &names {
        change(&program, name);
    }
    assert_eq!(program.run(&["update", "--all", "--enqueue"]).status, 0);
    let mut owner = program.start(&["rollout", "wait", "start_date@2", "--poll", "0.05"]);
    owner.until("start_date@2 is closed");
    let worker = ["worker", "--until-empty", "--jobs", "2", "--rate", "50/s"];
    let worker = program.start(&worker);
    while tasks(&program).as_array().expect("a list").len() > 35 {
        std::thread::yield_now();
    }
    owner.signal("KILL");
    assert_eq!(owner.end().0, None);
    let run = worker.run();
    assert_eq!(run.status, 0, "{run:?}");
    assert_eq!(tasks(&program), json!([]));
    let run = program.run(&["update", "--all", "--dry-run"]);
    assert_eq!(run.stdout.matches("up to date").count(), 40, "{run:?}");
}

#[test]
fn a_worker_whose_name_was_taken_joins_again() {
    let program = Program::new();
    let [course, ..] = import_three(&program);
    let mut worker = program.start(&["worker", "--worker", "mine", "--lease", "3600"]);
    await_workers(&program, &["mine"]);
    assert_eq!(program.run(&["pause", "--worker", "mine"]).status, 0);
    worker.until("note: joined again: the lease of worker \"mine\" has ended");
    enqueue(&program, ["a"]);
    program.run(&["resume"]);
    await_tasks(&program, 0);
    worker.signal("INT");
    let run = worker.run();
    assert!(
        run.stdout.contains(&format!("done      {course}: ")),
        "{run:?}"
    );
}

#[test]
fn a_name_that_could_deceive_a_terminal_is_refused() {
    let program = Program::new();
    import_three(&program);
    let run = program.run(&["pause", "--worker", "\u{1b}[2J"]);
    run.is_refused(2, &["control characters"]);
    assert!(!run.stderr.contains('\u{1b}'), "{run:?}");
    let run = program.run(&["worker", "--lease", "0"]);
    run.is_refused(2, &["--lease"]);
}

// Floors.

#[test]
fn what_is_stored_in_older_versions_closes_the_gate_and_the_next_step_is_named() {
    let program = Program::new();
    import_three_with(&program, registry((1, 3)));
    let run = program.run(&["rollout", "status"]);
    assert_eq!(run.status, 0, "{run:?}");
    let bar = "░".repeat(20);
    let row = row(&run, "hidden_content");
    assert_eq!(row, format!("4 4 - {bar} 3 v3 3 0 closed"));
    let next = format!(
        "  next: raise the floor, and enqueue what is below\n        courseblocks --store {} \
         rollout start hidden_content\n",
        program.store().display()
    );
    assert!(run.stdout.contains(&next), "{run:?}");

    let run = program.run(&["rollout", "gate", "hidden_content@4"]);
    assert_eq!(run.status, 1, "{run:?}");
    let closed = "closed    hidden_content@4: READ may not be raised to 4\n";
    assert!(run.stdout.starts_with(closed), "{run:?}");
    for said in [
        "it has no floor",
        "version 3 is stored for 3 courses",
        "rollout start",
    ] {
        assert!(run.stdout.contains(said), "{said}: {run:?}");
    }
}

#[test]
fn a_start_raises_the_floor_and_enqueues_what_is_below() {
    let program = Program::new();
    import_three_with(&program, registry((1, 3)));
    let run = program.run(&["rollout", "start", "hidden_content", "--worker", "operator"]);
    assert_eq!(run.status, 0, "{run:?}");
    let said = "started   hidden_content: its floor is 4, the first one, and holds for every \
                course; 3 courses are on the queue, 0 up to date\n";
    assert!(run.stdout.starts_with(said), "{run:?}");
    assert!(run.stdout.contains("worker --until-empty\n"), "{run:?}");
    let again = program.json(&["rollout", "start", "hidden_content"]);
    let from_and_floor = (&again["from"], &again["floor"]);
    assert_eq!(again["outcome"], "started");
    assert_eq!(from_and_floor, (&json!(4), &json!(4)));

    let status = &status_of(&program, "hidden_content");
    assert_eq!(status["floor"]["version"], 4);
    assert_eq!(status["floor"]["raised_by"], "operator");
    assert_eq!(status["stored"], json!({ "3": 3 }));
    assert_eq!(
        (&status["outdated"], &status["failing"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(status["gate"], Value::Null);
    assert_eq!(column(&status["reasons"], "reason"), ["below"]);
    assert_eq!(status["next"]["next"], "work");
    let command = status["next"]["command"].as_str().unwrap();
    assert!(command.ends_with(" worker --until-empty"), "{command}");
}

#[test]
fn a_gate_opens_when_the_last_course_is_collected() {
    let program = Program::new();
    import_three_with(&program, registry((1, 3)));
    let run = program.run(&["rollout", "start", "hidden_content", "--worker", "operator"]);
    assert_eq!(run.status, 0, "{run:?}");
    let wait = program.start(&["rollout", "wait", "hidden_content@4", "--poll", "0.05"]);
    let run = program.run(&["worker", "--until-empty"]);
    assert_eq!(run.status, 0, "{run:?}");
    let run = wait.run();
    assert_eq!(run.status, 0, "{run:?}");
    let open = "open      hidden_content@4: READ may be raised to 4; 3 courses were counted by ";
    assert!(run.stdout.starts_with(open), "{run:?}");

    let answer = program.json(&["rollout", "gate", "hidden_content@4"]);
    assert_eq!(
        (&answer["open"], &answer["reasons"]),
        (&json!(true), &json!([]))
    );
    let gate = &answer["gate"];
    assert_eq!((&gate["target"], &gate["courses"]), (&json!(4), &json!(3)));
    let run = program.run(&["rollout", "status", "hidden_content"]);
    let bar = "█".repeat(20);
    let row = row(&run, "hidden_content");
    assert_eq!(row, format!("4 4 4 {bar} 3 v4 0 0 open @4"));
    assert!(!run.stdout.contains("next:"), "{run:?}");
    assert!(!run.stdout.contains("start_date"), "{run:?}");

    let events = program.json(&["rollout", "history"])["events"].take();
    assert_eq!(column(&events, "event"), ["floor_raised", "gate_opened"]);
    assert_eq!(
        (&events[0]["to"], &events[0]["worker"]),
        (&json!(4), &json!("operator"))
    );
    assert_eq!(events[0]["text"], "hidden_content got its first floor, 4");
    let run = program.run(&["rollout", "history", "--limit", "1"]);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines[0], "(1 older entry; --limit shows more)");
    assert!(lines[1].contains("the gate hidden_content@4 was found open, with 3 courses"));
}

#[test]
fn a_start_is_refused_while_a_live_worker_writes_less() {
    let program = Program::new();
    import_three(&program);
    let older = release(&program, alone());
    let joined = Fleet::new(older.store()).join(
        &Registration {
            lasts: Duration::from_secs(3600),
            ..Registration::new("old-1", "2025.9", older.registry())
        },
        now(),
    );
    joined.unwrap();
    let long_ago = now().minus_days(1.0).unwrap();
    let dead = Registration::new("dead-1", "2025.8", older.registry());
    Fleet::new(older.store()).join(&dead, long_ago).unwrap();
    drop(older);

    let run = program.run(&["rollout", "fleet"]);
    assert_eq!(run.status, 0, "{run:?}");
    let of = |worker: &str| -> Vec<&str> {
        let line = run.stdout.lines().find(|line| line.starts_with(worker));
        line.expect(worker).split_whitespace().collect()
    };
    assert_eq!(of("old-1")[..3], ["old-1", "2025.9", "live"]);
    assert_eq!(of("dead-1")[..3], ["dead-1", "2025.8", "expired"]);
    assert!(
        run.stdout
            .contains("release 2025.9: hidden_content reads 1 writes 3\n"),
        "{run:?}"
    );

    let run = program.run(&["rollout", "start", "hidden_content"]);
    assert_eq!(run.status, 1, "{run:?}");
    for said in [
        "refused   the floor of hidden_content cannot be raised to 4 yet; nothing was changed",
        "  - worker old-1 (release 2025.9) still writes version 3; it was last heard of ",
        "and its lease ends in ",
        "  next: end these workers; ",
        "rollout start hidden_content",
    ] {
        assert!(run.stdout.contains(said), "{said}: {run:?}");
    }
    assert!(!run.stdout.contains("dead-1"), "{run:?}");
    let run = program.run(&with_json(&["rollout", "start", "hidden_content"]));
    let answer = run.json();
    assert_eq!((run.status, &answer["outcome"]), (1, &json!("refused")));
    let blocker = &answer["blockers"][0];
    assert_eq!(blocker["blocker"], "writes_less");
    assert_eq!(
        (&blocker["worker"], &blocker["write"]),
        (&json!("old-1"), &json!(3))
    );
    let status = status_of(&program, "hidden_content");
    assert_eq!(
        (&status["floor"], &status["next"]["next"]),
        (&Value::Null, &json!("nothing"))
    );

    // It does not know the others.
    let run = program.run(&["rollout", "start", "start_date"]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(
        run.stdout.contains("does not know the transformer"),
        "{run:?}"
    );

    // Its lease is given back.
    let older = release(&program, alone());
    older.leave().unwrap();
    older
        .join("old-1", "2025.9", Duration::from_secs(60), now())
        .unwrap();
    drop(older);
    let run = program.run(&["rollout", "start", "hidden_content"]);
    assert_eq!(run.status, 0, "{run:?}");
    assert!(
        run.stdout
            .contains("worker dead-1 (2025.8) was last heard of at "),
        "{run:?}"
    );
    let events = program.json(&["rollout", "history"])["events"].take();
    assert_eq!(events[0]["expired"], "dead-1");
}

#[test]
fn a_release_below_a_floor_leaves_the_work_to_newer_ones() {
    let program = Program::new();
    let [course, ..] = import_three(&program);
    let newer = release(&program, registry((4, 5)));
    let lease = newer.lease().unwrap();
    let started = Rollout::new(newer.store()).start(&lease, "hidden_content", now(), |_| {});
    assert!(matches!(started, Ok(Start::Started { .. })), "{started:?}");
    drop(newer);

    let why = "this release writes version 4 of \"hidden_content\", below its floor 5";
    let run = program.run(&["worker"]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stderr.contains(&format!("note: {why}")), "{run:?}");
    assert!(run.stderr.contains(&format!("error: {why}")), "{run:?}");
    let run = program.run(&with_json(&["worker", "--until-empty"]));
    assert_eq!(run.status, 1, "{run:?}");
    assert_eq!(run.json()["ended"], "left_to_newer_releases");
    assert_eq!(tasks(&program).as_array().unwrap().len(), 3);

    change(&program, "a");
    let run = program.run(&["update", &course]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stderr.contains("below its floor 5"), "{run:?}");
    assert!(run.stderr.contains("`rollout status`"), "{run:?}");
    assert_eq!(
        tasks(&program)[0]["priority"],
        "publish",
        "it is not forgotten"
    );

    let run = program.run(&["rollout", "start", "hidden_content"]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stderr.contains("below its floor 5"), "{run:?}");
    let status = status_of(&program, "hidden_content");
    assert_eq!(status["next"]["next"], "older_release");
}

// Gates.

#[test]
fn waiting_that_cannot_help_says_what_does() {
    let program = Program::new();
    let [first, second, third] = import_three_with(&program, registry((1, 3)));
    let wait = ["rollout", "wait", "hidden_content@4", "--poll", "0.05"];
    let mut waiting = program.start(&wait);
    waiting.until("hidden_content@4 is closed: it has no floor");
    waiting.until("hidden_content@4 is closed: version 3 is stored for 3 courses");
    waiting.until("note: raise its floor: `courseblocks --store ");
    program.run(&["pause"]);
    assert_eq!(
        program.run(&["rollout", "start", "hidden_content"]).status,
        0
    );
    waiting.until("note: the queue is paused: `courseblocks --store ");
    program.run(&["resume"]);
    waiting.until("note: no worker takes the tasks: `courseblocks --store ");
    program.run(&["queue", "drop", &first, &second, &third]);
    waiting.until("note: nothing is on the queue: ");
    fs::rename(program.path("exports/a"), program.path("away")).unwrap();
    assert_eq!(
        program.run(&["rollout", "start", "hidden_content"]).status,
        0
    );
    program.run(&["worker", "--until-empty", "--attempts", "1"]);
    waiting.until("note: only quarantine is left, and 1 course is in it: ");
    fs::rename(program.path("away"), program.path("exports/a")).unwrap();
    program.run(&["queue", "retry"]);
    program.run(&["worker", "--until-empty"]);
    let run = waiting.run();
    assert_eq!(run.status, 0, "{run:?}");
    assert!(
        run.stdout.starts_with("open      hidden_content@4: "),
        "{run:?}"
    );
}

#[test]
fn waiting_ends_after_its_time_or_when_it_is_interrupted() {
    let program = Program::new();
    import_three(&program);
    let wait = ["rollout", "wait", "start_date@2", "--timeout", "0"];
    let run = program.run(&wait);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(
        run.stdout.starts_with("closed    start_date@2: "),
        "{run:?}"
    );
    let run = program.run(&with_json(&wait));
    assert_eq!((run.status, &run.json()["open"]), (1, &json!(false)));
    assert_eq!(
        column(&run.json()["reasons"], "reason"),
        ["floor_too_low", "below"]
    );

    let mut waiting = program.start(&["rollout", "wait", "start_date@2"]);
    waiting.until("a release that writes version 2 must raise its floor; this one writes 1");
    waiting.signal("INT");
    assert_eq!(waiting.run().status, 130);
    assert_eq!(workers(&program), json!([]), "it has left the fleet");

    for wrong in ["start_date", "start_date@0", "@1", "start_date@x"] {
        assert_eq!(
            program.run(&["rollout", "gate", wrong]).status,
            2,
            "{wrong}"
        );
    }
    let run = program.run(&["rollout", "gate", "strat_date@1"]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(
        run.stderr
            .contains("has no transformer \"strat_date\"; it has"),
        "{run:?}"
    );
}

#[test]
fn a_status_can_be_asked_of_one_transformer_that_is_there() {
    let program = Program::new();
    import_three(&program);
    let answer = program.json(&["rollout", "status"]);
    assert_eq!(answer["courses"], 3);
    let names = column(&answer["transformers"], "transformer");
    let registry = Registry::standard();
    let stock: BTreeSet<_> = registry.names().collect();
    assert_eq!(names, Vec::from_iter(stock));
    let run = program.run(&["rollout", "status", "no_such"]);
    run.is_refused(2, &["no_such", "start_date"]);
    // Asking does not make a worker of anybody.
    assert_eq!(workers(&program), json!([]));
    assert_eq!(program.json(&["rollout", "history"])["events"], json!([]));
    let run = program.run(&["rollout", "history"]);
    assert_eq!(run.stdout, "nothing has happened yet\n");
    let run = program.run(&["rollout", "fleet"]);
    assert_eq!(run.stdout, "no worker is in the fleet\n");
}

#[test]
fn colours_are_for_terminals_and_change_nothing_else() {
    let program = Program::new();
    import_three_with(&program, registry((1, 3)));
    let status = ["rollout", "status"];
    let plain = program.run(&status);
    assert!(!plain.stdout.contains('\u{1b}'), "{plain:?}");
    let in_colour = |arguments: &[&str]| {
        let mut command = program.command(arguments);
        command.env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR");
        Run::of(command.output().unwrap())
    };
    let coloured = in_colour(&status);
    assert!(
        coloured.stdout.contains("\u{1b}[33mclosed\u{1b}[0m"),
        "{coloured:?}"
    );
    let mut text = coloured.stdout;
    while let Some(begin) = text.find('\u{1b}') {
        let length = text[begin..].find('m').unwrap();
        text.replace_range(begin..=begin + length, "");
    }
    assert_eq!(text, plain.stdout);
    let json = in_colour(&["--format", "json", "rollout", "status"]);
    assert!(!json.stdout.contains('\u{1b}'), "{json:?}");
}

// Retiring.

#[test]
fn a_transformer_that_nobody_has_any_more_is_retired() {
    let program = Program::new();
    let mut registry = Registry::standard();
    registry.register(Schema("retiring", 1, 1)).unwrap();
    import_three_with(&program, registry);
    let status = status_of(&program, "retiring");
    assert_eq!(status["next"]["next"], "not_in_this_release");
    assert_eq!(status["write"], Value::Null);

    let run = program.run(&["rollout", "retire", "retiring"]);
    run.is_refused(2, &["--yes"]);
    let run = program.run(&["rollout", "retire", "start_date", "--yes"]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(
        run.stdout
            .starts_with("refused   live workers have start_date"),
        "{run:?}"
    );
    let run = program.run(&["rollout", "retire", "no_such", "--yes"]);
    assert_eq!(run.status, 1, "{run:?}");

    let run = program.run(&["rollout", "retire", "retiring", "--yes"]);
    assert_eq!(run.status, 0, "{run:?}");
    let said =
        "retired   retiring: its data was removed from 3 courses; its highest version was 1\n";
    assert_eq!(run.stdout, said);
    let answer = program.json(&["rollout", "retire", "retiring", "--yes"]);
    assert_eq!(
        (&answer["outcome"], &answer["removed"]),
        (&json!("retired"), &json!(0))
    );
    let status = status_of(&program, "retiring");
    assert_eq!(
        (&status["stored"], &status["floor"]["retired"]),
        (&json!({}), &json!(true))
    );
    let run = program.run(&["rollout", "wait", "retiring@2"]);
    assert_eq!(run.status, 1, "{run:?}");
}

// Courses.

/// Three courses, in the order of their keys.
fn import_three(program: &Program) -> [String; 3] {
    let courses = write_three(program);
    program.import("exports");
    courses
}

fn write_three(program: &Program) -> [String; 3] {
    ["a", "b", "c"].map(|name| write_course(&program.path("exports").join(name), name, "First", 1))
}

/// Gives a course new content.
fn change(program: &Program, name: &str) {
    write_course(&program.path("exports").join(name), name, "Second", 1);
}

/// Gives courses new content, which is to be collected.
#[track_caller]
fn enqueue<const N: usize>(program: &Program, names: [&str; N]) {
    for name in names {
        change(program, name);
    }
    let run = program.run(&["update", "--all", "--enqueue"]);
    assert_eq!(run.status, 0, "{run:?}");
}

// Answers.

fn tasks(program: &Program) -> Value {
    program.json(&["queue", "status", "--all"])["tasks"].take()
}

fn workers(program: &Program) -> Value {
    program.json(&["rollout", "fleet"])["workers"].take()
}

#[track_caller]
fn status_of(program: &Program, transformer: &str) -> Value {
    let mut answer = program.json(&["rollout", "status", transformer]);
    assert_eq!(answer["transformers"][0]["transformer"], transformer);
    answer["transformers"][0].take()
}

fn column(list: &Value, name: &str) -> Vec<String> {
    let items = list.as_array().expect("a list").iter();
    items
        .map(|item| item[name].as_str().expect(name).to_owned())
        .collect()
}

/// The cells behind a transformer's name, with one space between them.
#[track_caller]
fn row(run: &Run, transformer: &str) -> String {
    let mut lines = run.stdout.lines().map(str::split_whitespace);
    let row = lines.find_map(|mut cells| (cells.next() == Some(transformer)).then_some(cells));
    row.expect(transformer).collect::<Vec<_>>().join(" ")
}

/// Waits until these are the workers.
fn await_workers(program: &Program, names: &[&str]) {
    while column(&workers(program), "worker") != names {
        std::thread::yield_now();
    }
}

/// Waits until so many tasks are left.
fn await_tasks(program: &Program, count: usize) {
    while tasks(program).as_array().expect("a list").len() != count {
        std::thread::yield_now();
    }
}

// Other releases.

/// A transformer of another release: its name, READ and WRITE.
struct Schema(&'static str, u32, u32);

impl Transformer for Schema {
    type BlockData<'a> = ();
    type CourseData<'a> = ();

    fn name(&self) -> &str {
        self.0
    }

    fn versions(&self) -> Versions {
        Versions::new(ReadVersion::new(self.1), WriteVersion::new(self.2).unwrap())
    }

    fn collect(&self, course: &Course) -> courseblocks::Result<Collected<(), ()>> {
        Ok(Collected::new(course.structure().width(), ()))
    }
}

/// The stock transformers, one of them with other versions.
fn registry(hidden_content: (u32, u32)) -> Registry {
    let mut registry = Registry::standard();
    let (read, write) = hidden_content;
    registry
        .replace(Schema("hidden_content", read, write))
        .unwrap();
    registry
}

/// A release that has nothing else.
fn alone() -> Registry {
    let mut registry = Registry::new();
    registry.register(Schema("hidden_content", 1, 3)).unwrap();
    registry
}

/// Another release, in the fleet until it is dropped. No command runs meanwhile.
fn release(program: &Program, registry: Registry) -> Manager {
    let courses = ["a", "b", "c"].map(|name| {
        let export = program.path("exports").join(name);
        let course = olx::read(&export, &Limits::default()).unwrap();
        course.with_origin(export.to_str().unwrap())
    });
    let store = Store::open(program.store()).unwrap();
    let courses = Arc::new(Courses(courses.into()));
    let manager = Manager::new(Arc::new(store), Arc::new(registry), courses);
    let lasts = Duration::from_secs(60);
    manager
        .join("another", "another release", lasts, now())
        .unwrap();
    manager
}

/// Three courses that another release has collected.
fn import_three_with(program: &Program, registry: Registry) -> [String; 3] {
    let courses = write_three(program);
    let release = release(program, registry);
    for course in &courses {
        let key: CourseKey = course.parse().unwrap();
        let updated = release.update(&key, &UpdateOptions::default()).unwrap();
        assert!(updated.published.is_some());
    }
    courses
}

/// The module store of another release.
struct Courses(Vec<Course>);

impl Courses {
    fn get(&self, key: &CourseKey) -> &Course {
        let mut courses = self.0.iter();
        courses.find(|course| course.key() == key).unwrap()
    }
}

impl ModuleStore for Courses {
    fn source_version(&self, course: &CourseKey) -> courseblocks::Result<SourceVersion> {
        Ok(self.get(course).source_version().clone())
    }

    fn load(&self, course: &CourseKey) -> courseblocks::Result<Course> {
        Ok(self.get(course).clone())
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap()).unwrap()
}
