//! The certificate's verdict on a least-squares model in plain numbers, with each mistake planted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use attar_doctor::accumulation::{Coupling, Fault, Split, Verdict, judge, order_faults, tolerance};
use attar_doctor::{Backward, Clip, Epoch, Event, Finish, Header, Position, Record, Schedule, Status, Step};

const N: usize = 32;
const D: usize = 5;
const SIZES: [&[usize]; 7] = [&[32], &[16; 2], &[8; 4], &[4; 8], &[2; 16], &[1; 32], &[12, 12, 8]];

type Vector = [f64; D];

#[derive(Clone, Copy, PartialEq)]
enum Plant {
    Nothing,
    NoDivision,
    Summed,
    SummedThenDivided,
    MeanOfMeans,
    Contrastive,
    Zeroed,
    Clipped,
}

/// Reproducible numbers in -1..1 without symmetry.
fn noise(i: usize) -> f64 {
    ((i as f64 + 1.0) * 12.9898).sin() * 43758.5453 % 1.0
}

fn input(i: usize) -> Vector {
    std::array::from_fn(|j| noise(i * D + j) + 0.3)
}

fn dot(a: &Vector, b: &Vector) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut Vector, factor: f64, from: &Vector) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from);
}

fn output(i: usize) -> f64 {
    dot(&std::array::from_fn(|j| 0.4 * noise(1000 + j)), &input(i))
}

/// The gradient of the mean loss of some samples; the contrastive loss takes its batch's mean output away.
fn mean_gradient(samples: &[usize], contrastive: bool) -> Vector {
    let count = samples.len() as f64;
    let mean = samples.iter().map(|&i| output(i)).sum::<f64>() / count;
    let mut gradient = [0.0; D];
    for &i in samples {
        let shift = if contrastive { mean } else { 0.0 };
        add(&mut gradient, (output(i) - shift - noise(2000 + i)) / count, &input(i));
    }
    gradient
}

fn clip(gradient: &Vector) -> Vector {
    let factor = (0.3 / dot(gradient, gradient).sqrt()).min(1.0);
    gradient.map(|g| factor * g)
}

fn measure(plant: Plant, sizes: &[usize]) -> Split {
    let contrastive = plant == Plant::Contrastive;
    let all: Vec<usize> = (0..N).collect();
    let whole = mean_gradient(&all, contrastive);
    let k = sizes.len() as f64;
    let (mut sum, mut clipped, mut clips, mut last, mut start) = ([0.0; D], [0.0; D], false, [0.0; D], 0);
    for &size in sizes {
        last = mean_gradient(&all[start..start + size], contrastive);
        start += size;
        let share = size as f64 / N as f64;
        let cut = clip(&last);
        clips |= cut != last;
        add(&mut clipped, share, &cut);
        let weight = match plant {
            Plant::NoDivision => share * k,
            Plant::Summed => size as f64,
            Plant::SummedThenDivided => size as f64 / k,
            Plant::MeanOfMeans => 1.0 / k,
            _ => share,
        };
        if plant == Plant::Zeroed {
            sum = [0.0; D];
        }
        add(&mut sum, weight, if plant == Plant::Clipped { &cut } else { &last });
    }
    let (smallest, largest) = (*sizes.iter().min().unwrap() as u64, *sizes.iter().max().unwrap() as u64);
    Split {
        micro_batches: sizes.len() as u64,
        samples: N as u64,
        smallest,
        largest,
        outputs: 0.0,
        error: distance(&sum, &whole),
        scale: dot(&sum, &whole) / dot(&whole, &whole),
        angle: angle(&sum, &whole),
        last_angle: Some(angle(&sum, &last)),
        clipped: clips.then(|| distance(&sum, &clipped)),
        loss: Some(0.0),
        parameters: Some(distance(&sum, &whole)),
        buffers: None,
        failure: None,
    }
}

fn distance(a: &Vector, b: &Vector) -> f64 {
    let mut difference = *a;
    add(&mut difference, -1.0, b);
    (dot(&difference, &difference) / dot(b, b)).sqrt()
}

fn angle(a: &Vector, b: &Vector) -> f64 {
    let unit = |v: &Vector| v.map(|x| x / dot(v, v).sqrt());
    distance(&unit(a), &unit(b)).powi(2) / 2.0
}

fn splits(plant: Plant) -> Vec<Split> {
    SIZES.iter().map(|sizes| measure(plant, sizes)).collect()
}

fn stages(values: [(f64, f64); 3]) -> Vec<Coupling> {
    let name = |(i, (outputs, coupling))| Coupling { stage: format!("stage{i}"), outputs, coupling };
    values.into_iter().enumerate().map(name).collect()
}

fn verdict(splits: &[Split]) -> Vec<Fault> {
    named(&judge(splits, &stages([(0.0, 0.0); 3]), &[], tolerance("f64", N as u64)))
}

fn named(verdict: &Verdict) -> Vec<Fault> {
    assert_eq!(verdict.passed(), verdict.faults.is_empty());
    verdict.faults.iter().map(|found| found.fault).collect()
}

#[test]
fn exact_accumulation_passes_in_both_precisions() {
    assert_eq!(verdict(&splits(Plant::Nothing)), []);
    let mut rounded = splits(Plant::Nothing);
    for split in &mut rounded {
        (split.error, split.scale, split.angle, split.outputs) = (4e-7, 1.0 + 2e-7, 5e-14, 1.4e-7);
    }
    assert_eq!(named(&judge(&rounded, &[], &[], tolerance("f32", 32))), []);
}

#[test]
fn faults_of_scale_are_told_apart_over_all_splits() {
    assert_eq!(verdict(&splits(Plant::NoDivision)), [Fault::NoDivision]);
    assert_eq!(verdict(&splits(Plant::Summed)), [Fault::SummedLoss]);
    assert_eq!(verdict(&splits(Plant::SummedThenDivided)), [Fault::SummedThenDivided]);
}

#[test]
fn faults_of_direction_are_told_apart() {
    assert_eq!(verdict(&splits(Plant::MeanOfMeans)), [Fault::MeanOfMeans]);
    assert_eq!(verdict(&splits(Plant::Contrastive)), [Fault::NotPerSample]);
    assert_eq!(verdict(&splits(Plant::Zeroed)), [Fault::ZeroedInside]);
    assert_eq!(verdict(&splits(Plant::Clipped)), [Fault::ClippedInside]);
}

#[test]
fn what_one_split_cannot_tell_is_named_twice() {
    // Sixteen samples in four parts: s = 4 is k and N / k.
    let split =
        Split { micro_batches: 4, samples: 16, smallest: 4, largest: 4, error: 3.0, scale: 4.0, ..Split::default() };
    assert_eq!(verdict(&[split]), [Fault::NoDivision, Fault::SummedThenDivided]);
    // The sum of means over uneven parts lacks the division and weighs wrongly.
    let mut both = splits(Plant::NoDivision);
    both[6] = measure(Plant::MeanOfMeans, SIZES[6]);
    both[6].scale *= 3.0;
    assert_eq!(verdict(&both), [Fault::NoDivision, Fault::MeanOfMeans]);
}

#[test]
fn scales_of_no_known_mistake_are_not_passed_over() {
    let mut splits = splits(Plant::Nothing);
    for split in &mut splits {
        (split.scale, split.error) = (1.7, 0.7);
    }
    assert_eq!(verdict(&splits), [Fault::Unexplained]);
    let mut splits = self::splits(Plant::Nothing);
    splits[2].parameters = Some(0.1);
    assert_eq!(verdict(&splits), [Fault::Unexplained]);
}

#[test]
fn a_loss_that_is_reported_wrongly_is_not_certified() {
    let reporting = |difference| {
        let mut splits = splits(Plant::Nothing);
        splits[2].loss = Some(difference);
        judge(&splits, &[], &[], tolerance("f32", N as u64))
    };
    // Four times the loss; the mean of means of parts of much the same size; rounding of a small loss in f32.
    let wrong = reporting(3.0);
    assert_eq!(named(&wrong), [Fault::Unexplained]);
    assert!(wrong.faults[0].message.contains("another loss"), "{}", wrong.faults[0].message);
    assert_eq!(named(&reporting(1e-2)), [Fault::Unexplained]);
    assert_eq!(named(&reporting(1e-4)), []);
}

#[test]
fn outputs_that_differ_name_their_stage() {
    let mut differing = splits(Plant::Nothing);
    for split in &mut differing[1..] {
        (split.outputs, split.error, split.angle, split.scale) = (1.3, 0.9, 0.2, 0.7);
    }
    let judged = |values| judge(&differing, &stages(values), &[], 1e-12);
    // Batch norm at stage1; dropout by batch at stage1; dropout before batch norm.
    let coupled = judged([(0.0, 0.0), (0.9, 0.4), (1.3, 0.4)]);
    assert_eq!((named(&coupled), coupled.faults[0].stage.as_deref()), (vec![Fault::Coupled], Some("stage1")));
    let masks = judged([(0.0, 0.0), (0.9, 0.0), (1.3, 0.0)]);
    assert_eq!((named(&masks), masks.faults[0].stage.as_deref()), (vec![Fault::MasksByBatch], Some("stage1")));
    assert_eq!(named(&judged([(0.5, 0.0), (0.9, 0.4), (1.3, 0.4)])), [Fault::Coupled, Fault::MasksByBatch]);
    // A micro-batch of one under batch norm.
    differing[5].failure = Some("batch norm over one value per channel".into());
    let verdict = judge(&differing, &stages([(0.0, 0.0), (0.9, 0.4), (1.3, 0.4)]), &[], 1e-12);
    assert_eq!(named(&verdict), [Fault::Uncomputable, Fault::Coupled]);
    assert!(verdict.faults[0].message.ends_with("one value per channel"), "{}", verdict.faults[0].message);
}

/// A loop over four micro-batches a step that makes `calls` three times, each named by its letter.
fn ordered(calls: &str) -> Vec<Fault> {
    let (mut step, mut epoch, mut events) = (1, 1, Vec::new());
    for call in calls.repeat(3).chars() {
        events.push(match call {
            'z' => Event::ZeroGrad(Position { epoch, step }),
            'b' => Event::Backward(Backward { epoch, step, samples: 8, ..Backward::default() }),
            'c' => Event::Clip(Clip { epoch, step, norm: 2.0, limit: 1.0 }),
            'l' => Event::Schedule(Schedule { epoch, step, learning_rate: 0.1 }),
            'e' => Event::Epoch(Epoch { epoch, step: step - 1, loss: 1.0, learning_rate: 0.1 }),
            _ => Event::Step(Step { epoch, step, loss: 1.0, learning_rate: 0.1 }),
        });
        step += u64::from(call == 's');
        epoch += u64::from(call == 'e');
    }
    events.push(Event::Finish(Finish { status: Status::Completed, reason: String::new() }));
    order_faults(&Record { header: Header { order: true, accumulation: 4, ..Header::default() }, events })
}

#[test]
fn faults_of_order_are_read_from_the_calls() {
    assert_eq!(ordered("zbbbbcsl"), []);
    assert_eq!(ordered("bbbbslz"), []);
    assert_eq!(ordered("zblblblbsl"), [Fault::ScheduleInside]);
    assert_eq!(ordered("zbcbcbcbcs"), [Fault::ClippedInside]);
    assert_eq!(ordered("zbzbzbzbs"), [Fault::ZeroedInside]);
    assert_eq!(ordered("zbsbsbsbs"), [Fault::StepInside]);
    assert_eq!(ordered("zbbbbszbbe"), [Fault::DroppedWindow]);
    // Steps inside move the weights, so the outputs differ: no mask is to blame.
    let mut moved = splits(Plant::Nothing);
    moved[2].outputs = 0.2;
    assert_eq!(named(&judge(&moved, &stages([(0.2, 0.0); 3]), &[Fault::StepInside], 1e-12)), [Fault::StepInside]);
    assert_eq!(named(&judge(&splits(Plant::Nothing), &[], &[Fault::DroppedWindow], 1e-12)), [Fault::DroppedWindow]);
}
