//! The laws of the record: what is written is read, and what is resumed is as if never interrupted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use attar_doctor::{
    Activations, Backward, Choice, Clip, Epoch, Error, Evaluation, Event, FORMAT, Finish, Header, Norms, Position,
    Probe, Reader, Record, Schedule, Stage, StageStatistics, Status, Step, Tensor, Thresholds, Writer, diagnose,
};
use proptest::prelude::*;
use tempfile::TempDir;

fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("run.jsonl");
    (folder, path)
}

fn header() -> Header {
    Header {
        framework: "attar 0.1.0".into(),
        created: "2026-11-23T06:53:27Z".into(),
        seed: u64::MAX,
        optimizer: Choice::new("adam", [("beta1", 0.9), ("epsilon", 1e-8)]),
        schedule: Choice::new("cosine", [("final", 0.0)]),
        batch_size: 100,
        accumulation: 3,
        parameters: 2105,
        data_fingerprint: "9f86d081".into(),
        classes: Some(10),
        target_norm: Some(52.5),
        tensors: vec![Tensor { name: "a.weight".into(), stage: "a".into(), shape: vec![8, 4], optimised: false }],
        stages: vec![Stage { name: "a".into(), activation: "relu".into(), form: Some("tiled".into()) }],
        order: true,
        notes: BTreeMap::from([("source".into(), "a \"quoted\"\nnote".into())]),
        extras: BTreeMap::from([("widths".into(), serde_json::json!([100, 5, 100]))]),
        ..Header::default()
    }
}

fn step(epoch: u64, step: u64) -> Event {
    Event::Step(Step { epoch, step, loss: 1.0 / step as f64, learning_rate: 1e-3 })
}

fn evaluation(epoch: u64, step: u64) -> Event {
    let metrics = BTreeMap::from([("loss".into(), 0.5), ("accuracy".into(), f64::NAN)]);
    Event::Evaluation(Evaluation { epoch, step, split: "validation".into(), metrics })
}

fn finish() -> Event {
    Event::Finish(Finish { status: Status::Completed, reason: String::new() })
}

/// Three epochs of four steps, evaluated before and after each.
fn run() -> Vec<Event> {
    let mut events = vec![evaluation(0, 0)];
    for epoch in 1..=3 {
        events.extend((1..=4).map(|i| step(epoch, (epoch - 1) * 4 + i)));
        events.push(evaluation(epoch, epoch * 4));
    }
    events.push(finish());
    events
}

fn write(path: &PathBuf, events: &[Event]) {
    let mut writer = Writer::create(path, &header()).unwrap();
    events.iter().for_each(|event| writer.write(event).unwrap());
    writer.sync().unwrap();
}

/// What a reader makes of `text`: events read, kinds skipped, torn, and the error.
fn read(text: &[u8]) -> (Vec<Event>, u64, bool, Option<Error>) {
    let mut reader = Reader::new(text, "run.jsonl");
    let mut events = Vec::new();
    let mut error = None;
    for event in reader.by_ref() {
        match event {
            Ok(event) => events.push(event),
            Err(found) => error = Some(found),
        }
    }
    (events, reader.skipped(), reader.is_torn(), error)
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<u64>().prop_map(f64::from_bits), Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)]
}

fn metrics() -> impl Strategy<Value = BTreeMap<String, f64>> {
    prop::collection::btree_map(any::<String>(), number(), 0..4)
}

fn event() -> impl Strategy<Value = Event> {
    let place = (any::<u64>(), any::<u64>());
    prop_oneof![
        (place, number(), number()).prop_map(|((epoch, step), loss, learning_rate)| {
            Event::Step(Step { epoch, step, loss, learning_rate })
        }),
        (place, number(), number()).prop_map(|((epoch, step), loss, learning_rate)| {
            Event::Epoch(Epoch { epoch, step, loss, learning_rate })
        }),
        (place, any::<String>(), metrics()).prop_map(|((epoch, step), split, metrics)| {
            Event::Evaluation(Evaluation { epoch, step, split, metrics })
        }),
        any::<String>().prop_map(|reason| Event::Finish(Finish { status: Status::Failed, reason })),
        call(),
        observation(),
    ]
}

fn call() -> impl Strategy<Value = Event> {
    let place = (any::<u64>(), any::<u64>());
    let optional = (prop::option::of(number()), prop::option::of(any::<bool>()));
    prop_oneof![
        place.prop_map(|(epoch, step)| Event::ZeroGrad(Position { epoch, step })),
        (place, any::<u64>(), optional).prop_map(|((epoch, step), samples, (buffer, training))| {
            Event::Backward(Backward { epoch, step, samples, buffer, training })
        }),
        (place, number(), number()).prop_map(|((epoch, step), norm, limit)| Event::Clip(Clip {
            epoch,
            step,
            norm,
            limit
        })),
        (place, number()).prop_map(|((epoch, step), learning_rate)| Event::Schedule(Schedule {
            epoch,
            step,
            learning_rate
        })),
    ]
}

fn observation() -> impl Strategy<Value = Event> {
    let place = (any::<u64>(), any::<u64>());
    let norms = (
        prop::collection::vec(prop::option::of(number()), 0..4),
        prop::collection::vec(number(), 0..4),
        prop::collection::vec(any::<u64>(), 0..4),
    );
    prop_oneof![
        (place, norms).prop_map(|((epoch, step), (gradient, weight, nonfinite))| {
            Event::Norms(Norms { epoch, step, gradient, update: weight.clone(), weight, nonfinite })
        }),
        (place, prop::collection::vec(stage(), 0..3))
            .prop_map(|((epoch, step), stages)| Event::Activations(Activations { epoch, step, stages })),
        (place, kind(), any::<String>(), values()).prop_map(|((epoch, step), kind, stage, values)| {
            Event::Probe(Probe { epoch, step, kind, stage, values })
        }),
    ]
}

fn kind() -> impl Strategy<Value = String> {
    let kinds = ["one_batch", "input", "train_eval", "reduction", "stale", "accumulation", "coupling", "codes"];
    prop_oneof![any::<String>(), prop::sample::select(kinds.to_vec()).prop_map(String::from)]
}

fn values() -> impl Strategy<Value = BTreeMap<String, f64>> {
    let names = [
        "first",
        "last",
        "variation",
        "loss",
        "train",
        "eval",
        "small",
        "large",
        "r",
        "q",
        "micro_batches",
        "samples",
        "smallest",
        "largest",
        "outputs",
        "error",
        "scale",
        "angle",
        "last_angle",
        "clipped",
        "coupling",
        "spread",
    ];
    prop::collection::btree_map(prop::sample::select(names.to_vec()).prop_map(String::from), number(), 0..22)
}

fn stage() -> impl Strategy<Value = StageStatistics> {
    let optional = || prop::option::of(number());
    (any::<String>(), (number(), number()), (optional(), optional(), optional()), any::<u64>()).prop_map(
        |(name, (mean, deviation), (dead, saturated, gradient), nonfinite)| StageStatistics {
            name,
            mean,
            deviation,
            dead,
            saturated,
            nonfinite,
            gradient,
        },
    )
}

/// Debug text shows NaN as NaN, so that it equals itself, and every other float with all its digits.
fn shown(events: &[Event]) -> String {
    format!("{events:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(events in prop::collection::vec(event(), 0..12)) {
        let (_folder, path) = folder();
        write(&path, &events);
        let mut expected = vec![Event::Header(Box::new(header()))];
        expected.extend(events);
        let found: Vec<Event> = Reader::open(&path).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(shown(&found), shown(&expected));
    }

    #[test]
    fn no_record_is_too_odd_to_be_diagnosed(events in prop::collection::vec(event(), 0..40)) {
        let order = events.len() % 2 == 0;
        let record = Record { header: Header { order, ..header() }, events };
        for finding in diagnose(&record, &Thresholds::default()) {
            prop_assert!(finding.to_string().contains(finding.rule));
        }
    }

    #[test]
    fn a_record_cut_anywhere_is_read_up_to_the_cut(cut in 0.0..1.0f64) {
        let (_folder, path) = folder();
        write(&path, &run());
        let whole = fs::read(&path).unwrap();
        let first = whole.iter().position(|&byte| byte == b'\n').unwrap();
        let cut = first + ((whole.len() - first) as f64 * cut) as usize;
        let (events, _, torn, error) = read(&whole[..cut]);
        // An event whose line end alone is missing is whole.
        let is_json = |line: &&[u8]| serde_json::from_slice::<serde_json::Value>(line).is_ok();
        let lines = whole[..cut].split(|&byte| byte == b'\n').filter(is_json);
        prop_assert!(error.is_none());
        prop_assert_eq!(events.len(), lines.count());
        let last = whole[..cut].rsplit(|&byte| byte == b'\n').next().unwrap();
        prop_assert_eq!(torn, serde_json::from_slice::<serde_json::Value>(last).is_err() && !last.is_empty());
    }

    #[test]
    fn a_resumed_record_is_the_uninterrupted_one(checkpoint in 0usize..=3, lost in 0.0..1.0f64) {
        let (_folder, path) = folder();
        write(&path, &run());
        let whole = fs::read(&path).unwrap();
        let position = Position { epoch: checkpoint as u64, step: checkpoint as u64 * 4 };
        let done = 1 + checkpoint * 5;
        // Header and the events before the checkpoint are on disk; of the later bytes any number may be.
        let safe: usize = whole.split_inclusive(|&byte| byte == b'\n').take(1 + done).map(<[u8]>::len).sum();
        fs::write(&path, &whole[..safe + ((whole.len() - safe) as f64 * lost) as usize]).unwrap();
        let mut writer = Writer::resume_at(&path, position).unwrap();
        run()[done..].iter().for_each(|event| writer.write(event).unwrap());
        drop(writer);
        prop_assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn later_versions_may_add_fields_and_kinds() {
    let (_folder, path) = folder();
    write(&path, &[]);
    let mut text = fs::read_to_string(&path).unwrap();
    text += "{\"event\":\"step\",\"epoch\":1,\"step\":1,\"loss\":2,\"learning_rate\":-0.0,\"norms\":{\"a\":[1]}}\n\n";
    text += "{\"event\":\"histogram\",\"bins\":[1,2]}\r\n";
    text += "{\"step\":2,\"epoch\":1,\"learning_rate\":\"Infinity\",\"loss\":\"-Infinity\",\"event\":\"step\"}";
    let (events, skipped, torn, error) = read(text.as_bytes());
    assert!(error.is_none(), "{error:?}");
    assert_eq!((events.len(), skipped, torn), (3, 1, false));
    assert_eq!(events[1], Event::Step(Step { epoch: 1, step: 1, loss: 2.0, learning_rate: -0.0 }));
    let Event::Step(last) = &events[2] else { panic!("{:?}", events[2]) };
    assert_eq!((last.loss, last.learning_rate), (f64::NEG_INFINITY, f64::INFINITY));
}

#[test]
fn the_readme_shows_a_record_that_is_read() {
    let readme = include_str!("../README.md");
    let example = readme.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let (events, skipped, torn, error) = read(example.as_bytes());
    assert!(error.is_none(), "{error:?}");
    assert_eq!((events.len(), skipped, torn), (10, 0, false));
    let written: String = events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
    assert_eq!(written, example);
}

#[test]
fn a_record_without_what_came_later_is_read() {
    let text = concat!(
        r#"{"event":"header","format":1,"framework":"attar 0.1.0","created":"","seed":7,"optimizer":{"name":"adam"},"#,
        r#""schedule":{"name":"constant","settings":{}},"batch_size":100,"accumulation":1,"dtype":"f32","#,
        r#""parameters":2105,"data_fingerprint":"9f86d081"}"#,
    );
    let (events, _, _, error) = read(text.as_bytes());
    let Event::Header(header) = &events[0] else { panic!("{error:?}") };
    assert_eq!((header.classes, header.order, header.tensors.len()), (None, false, 0));
    assert_eq!(
        serde_json::to_string(&events[0]).unwrap().replace(r#","settings":{}"#, ""),
        text.replace(r#","settings":{}"#, "")
    );
}

#[test]
fn resuming_after_passes_without_a_step_keeps_the_end_of_their_epoch() {
    let (_folder, path) = folder();
    let backward = |epoch, step| Event::Backward(Backward { epoch, step, samples: 8, ..Backward::default() });
    let end = Event::Epoch(Epoch { epoch: 1, step: 2, loss: 1.0, learning_rate: 0.1 });
    let kept = [backward(1, 1), step(1, 1), backward(1, 2), step(1, 2), backward(1, 3), end];
    let lost = [Event::ZeroGrad(Position { epoch: 2, step: 3 }), backward(2, 3), step(2, 3)];
    write(&path, &[kept.as_slice(), &lost].concat());
    drop(Writer::resume_at(&path, Position { epoch: 1, step: 2 }).unwrap());
    let (events, ..) = read(&fs::read(&path).unwrap());
    assert_eq!(events[1..], kept);
    // In the middle of an epoch the passes that lead up to the next step are lost with it.
    drop(Writer::resume_at(&path, Position { epoch: 1, step: 1 }).unwrap());
    let (events, ..) = read(&fs::read(&path).unwrap());
    assert_eq!(events[1..], kept[..2]);
}

#[test]
fn wrong_records_are_refused_with_their_place() {
    let (_folder, path) = folder();
    write(&path, &run());
    let good = fs::read_to_string(&path).unwrap();
    let newer = format!("{{\"event\":\"header\",\"format\":{},\"other\":true}}\n", FORMAT + 1);
    let cases = [
        (String::new(), "line 1: expected a `header` event, found nothing"),
        (good.lines().nth(1).unwrap().to_owned() + "\n", "line 1: expected a `header` event, found `evaluation`"),
        (newer, "expected a run record of format 1, found format 2"),
        (good.replace("\"step\":6,", "\"step\":6;"), "line 9: expected one event as a JSON object"),
        (good.replace("\"loss\":0.25,", "\"loss\":\"much\","), "line 6: expected one event as a JSON object"),
        (
            good.replacen("\"epoch\":3,", "", 1),
            "line 13: expected one event as a JSON object, found missing field `epoch`",
        ),
        (good.repeat(2), "line 19: expected one run, found the `header` of another"),
        (good.clone() + &"x".repeat(17 << 20), "line 19: expected one event a line, found no line end"),
    ];
    for (text, expected) in cases {
        let error = read(text.as_bytes()).3.map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(expected), "expected {expected}, found {error}");
    }
}

#[test]
fn a_record_that_cannot_be_continued_is_left_alone() {
    let (_folder, path) = folder();
    assert!(matches!(Writer::resume_at(&path, Position::default()), Err(Error::Io { .. })));
    write(&path, &run()[..4]);
    let before = fs::read(&path).unwrap();
    let position = Position { epoch: 1, step: 4 };
    let error = Writer::resume_at(&path, position).unwrap_err().to_string();
    assert!(
        error.contains("expected the record to reach epoch 1, step 4, found that it ends at epoch 1, step 3"),
        "{error}"
    );
    assert!(matches!(Writer::create(&path, &header()), Err(Error::Io { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
}
