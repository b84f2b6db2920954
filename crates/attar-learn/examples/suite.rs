//! Iterating on the suite.
use attar_learn::suite::*;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let seeds: Vec<u64> = args[0].split(',').map(|s| s.parse().unwrap()).collect();
    let dataset = attar_data::open("digits", &attar_data::ReadOptions::default()).unwrap();
    let digits = Digits::of(&dataset).unwrap();
    let wanted = |case: &&'static Case| args.len() < 2 || args[1..].iter().any(|name| *name == case.name);
    let mutants: Vec<&'static Case> = MUTANTS.iter().filter(wanted).collect();
    let sound: Vec<&'static Case> = SOUND.iter().filter(wanted).collect();
    let all: Vec<&'static Case> = mutants.iter().chain(&sound).copied().collect();
    if let Ok(folder) = std::env::var("RECORDS") {
        for run in runs(&all, *seeds.last().unwrap() + 1).into_iter().filter(|r| seeds.contains(&r.seed)) {
            let (_, _, record) = run.recorded(&digits).unwrap();
            let path = format!("{folder}/{}-{}-{}.jsonl", run.case.name, run.architecture.name(), run.seed);
            std::fs::remove_file(&path).ok();
            let mut w = attar_doctor::Writer::create(std::path::Path::new(&path), &record.header).unwrap();
            record.events.iter().for_each(|e| w.write(e).unwrap());
            w.flush().unwrap();
        }
        return;
    }
    let done = AtomicUsize::new(0);
    let start = std::time::Instant::now();
    let last = std::sync::Mutex::new(std::collections::HashMap::new());
    let outcomes = outcomes(
        &runs(&all, *seeds.last().unwrap() + 1).into_iter().filter(|r| seeds.contains(&r.seed)).collect::<Vec<_>>(),
        &digits,
        2,
        |o| {
            let i = done.fetch_add(1, Ordering::Relaxed) + 1;
            let mut last = last.lock().unwrap();
            let id = std::thread::current().id();
            let before = last.insert(id, std::time::Instant::now()).unwrap_or(start);
            eprint!("\r{i} {:30}", o.case);
            if before.elapsed().as_secs_f64() > 1.5 {
                eprintln!(" {:?} {:.2} s", o.architecture, before.elapsed().as_secs_f64());
            }
            std::io::stderr().flush().unwrap();
        },
    )
    .unwrap();
    eprintln!("\n{:.1} s", start.elapsed().as_secs_f64());
    let outcomes: Vec<Outcome> = outcomes.into_iter().filter(|o| seeds.contains(&o.seed)).collect();
    for case in &sound {
        for a in Architecture::ALL {
            let of: Vec<&Outcome> = outcomes.iter().filter(|o| o.case == case.name && o.architecture == a).collect();
            let acc: Vec<String> = of.iter().map(|o| format!("{:.2}", o.accuracy)).collect();
            println!("sound {:22} {:10} {}", case.name, a.name(), acc.join(" "));
            for o in of {
                for f in &o.findings {
                    println!("   FALSE seed {} {} ({}) {} [{:.4}]", o.seed, f.rule, f.place, f.message, f.value);
                }
            }
        }
    }
    for case in &mutants {
        let t = Tally::of(case, outcomes.iter());
        println!("mutant {:26} {}/{} first {} other {}", case.name, t.named, t.runs, t.first, t.other);
        for o in outcomes.iter().filter(|o| o.case == case.name) {
            let named = o.findings.iter().any(|f| case.named_by.iter().any(|n| n.is(f)));
            let first = o.findings.first().is_some_and(|f| case.named_by.iter().any(|n| n.is(f)));
            if !named || !first {
                println!(
                    "   {} {} seed {} acc {:.2}",
                    if named { "late" } else { "MISSED" },
                    o.architecture.name(),
                    o.seed,
                    o.accuracy
                );
                for f in &o.findings {
                    println!("        {} {} {:?} [{:.3}]", f.rule, f.message, f.consequence_of, f.value);
                }
            }
        }
    }
    println!("sound {:?}", sound.iter().map(|case| Tally::of(case, outcomes.iter())).sum::<Tally>());
    println!("mutants {:?}", mutants.iter().map(|case| Tally::of(case, outcomes.iter())).sum::<Tally>());
}
