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
    let done = AtomicUsize::new(0);
    let start = std::time::Instant::now();
    let last = std::sync::Mutex::new(std::collections::HashMap::new());
    let outcomes = run_all(&all, *seeds.last().unwrap() + 1, &digits, 2, |o| {
        let i = done.fetch_add(1, Ordering::Relaxed) + 1;
        let mut last = last.lock().unwrap();
        let id = std::thread::current().id();
        let before = last.insert(id, std::time::Instant::now()).unwrap_or(start);
        eprint!("\r{i} {:30}", o.case);
        if before.elapsed().as_secs_f64() > 1.5 {
            eprintln!(" {:?} {:.2} s", o.architecture, before.elapsed().as_secs_f64());
        }
        std::io::stderr().flush().unwrap();
    })
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
    for r in recall(&outcomes, &mutants) {
        println!("mutant {:26} {}/{} first {} other {}", r.case.name, r.tally.named, r.tally.runs, r.tally.first, r.tally.other);
        for o in outcomes.iter().filter(|o| o.case == r.case.name) {
            let named = o.findings.iter().any(|f| r.case.named_by.iter().any(|n| n.is(f)));
            let first = o.findings.first().is_some_and(|f| r.case.named_by.iter().any(|n| n.is(f)));
            if !named || !first {
                println!("   {} {} seed {} acc {:.2}", if named { "late" } else { "MISSED" }, o.architecture.name(), o.seed, o.accuracy);
                for f in &o.findings {
                    println!("        {} {} {:?} [{:.3}]", f.rule, f.message, f.consequence_of, f.value);
                }
            }
        }
    }
    let a = alarms(&outcomes.iter().filter(|o| sound.iter().any(|c| c.name == o.case)).cloned().collect::<Vec<_>>());
    println!("false alarms {} of {} {:?}", a.alarmed.len(), a.runs, a.interval());
    let t = recall(&outcomes, &mutants).iter().fold(Tally::default(), |t, r| t.plus(r.tally));
    println!("recall {t:?} {:?}", t.interval());
}
