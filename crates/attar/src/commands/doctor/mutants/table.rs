//! The suite's outcomes as tables and as JSON.

use attar_learn::suite::{Architecture, Case, Outcome, Tally};
use serde_json::{Value, json};

use crate::error::CliError;
use crate::output::{print, print_columns};

/// Cases that were asked for, and what became of their runs.
pub(super) struct Suite {
    pub(super) mutants: Vec<&'static Case>,
    pub(super) sound: Vec<&'static Case>,
    pub(super) outcomes: Vec<Outcome>,
}

impl Suite {
    pub(super) fn print(&self) -> Result<(), CliError> {
        for rows in [self.mutant_rows(), self.sound_rows()].iter().filter(|rows| rows.len() > 1) {
            print_columns(rows)?;
            print("\n")?;
        }
        print(&self.totals())
    }

    fn tally(&self, cases: &[&Case], keep: impl Fn(&Outcome) -> bool) -> Tally {
        cases.iter().map(|case| Tally::of(case, self.outcomes.iter().filter(|outcome| keep(outcome)))).sum()
    }

    fn mutant_rows(&self) -> Vec<Vec<String>> {
        let heads =
            ["mistake", "named by", "seeds 0, 1", "others", "95 %", "mlp", "convnet", "attention", "first", "misnamed"];
        let row = |case: &&Case| {
            let named = |tally: Tally| share(tally.named, tally.runs);
            let of = |kind| named(self.tally(&[case], |o| o.is_reported() && o.architecture == kind));
            let names: Vec<String> = case.named_by.iter().map(|named| named.words()).collect();
            let reported = self.tally(&[case], Outcome::is_reported);
            let fixing = named(self.tally(&[case], |outcome| !outcome.is_reported()));
            let start =
                [case.name.into(), names.join(", "), fixing, named(reported), interval(&reported, reported.named)];
            let end = [reported.first, reported.other].map(|count| share(count, reported.runs));
            start.into_iter().chain(Architecture::ALL.map(of)).chain(end).collect()
        };
        std::iter::once(heads.map(String::from).to_vec()).chain(self.mutants.iter().map(row)).collect()
    }

    fn sound_rows(&self) -> Vec<Vec<String>> {
        let heads = ["sound run", "accuracy", "alarms, seeds 0, 1", "others", "by"].map(String::from).to_vec();
        let row = |case: &&Case| {
            let of: Vec<&Outcome> = self.outcomes.iter().filter(|outcome| outcome.case == case.name).collect();
            let least = of.iter().map(|outcome| outcome.accuracy).fold(1.0, f64::min);
            let most = of.iter().map(|outcome| outcome.accuracy).fold(0.0, f64::max);
            let alarms = |tally: Tally| share(tally.other, tally.runs);
            let mut rules: Vec<&str> = of.iter().flat_map(|o| &o.findings).map(|finding| finding.rule).collect();
            rules.sort_unstable();
            rules.dedup();
            vec![
                case.name.into(),
                format!("{least:.2} - {most:.2}"),
                alarms(self.tally(&[case], |outcome| !outcome.is_reported())),
                alarms(self.tally(&[case], Outcome::is_reported)),
                rules.join(", "),
            ]
        };
        std::iter::once(heads).chain(self.sound.iter().map(row)).collect()
    }

    fn totals(&self) -> String {
        let [mutants, sound] = [&self.mutants, &self.sound].map(|cases| self.tally(cases, Outcome::is_reported));
        let recall = format!(
            "named: {} of {} runs with a mistake ({}), first of all findings in {}, by another name only in {}\n",
            mutants.named,
            mutants.runs,
            interval(&mutants, mutants.named),
            mutants.first,
            mutants.other
        );
        let alarms =
            format!("false alarms: {} of {} sound runs ({})\n", sound.other, sound.runs, interval(&sound, sound.other));
        let parts = [(mutants.runs, recall), (sound.runs, alarms)];
        let lines: String = parts.into_iter().filter(|(runs, _)| *runs > 0).map(|(_, line)| line).collect();
        match lines.is_empty() {
            true => "Seeds 0 and 1 are those that thresholds were fixed by: nothing to report.\n".into(),
            false => format!("Without the seeds 0 and 1, by which thresholds were fixed:\n{lines}"),
        }
    }

    pub(super) fn json(&self) -> Value {
        let tallies = |case: &&Case| {
            let fixing = self.tally(&[case], |outcome| !outcome.is_reported());
            let named_by: Vec<String> = case.named_by.iter().map(|named| named.words()).collect();
            let reported = self.tally(&[case], Outcome::is_reported);
            json!({ "name": case.name, "named_by": named_by, "fixing": fixing, "reported": reported })
        };
        let pooled = |cases: &[&Case], count: fn(&Tally) -> usize| {
            let tally = self.tally(cases, Outcome::is_reported);
            let interval = tally.interval(count(&tally)).map(|interval| [interval.low, interval.high]);
            json!({ "tally": tally, "interval": interval })
        };
        json!({
            "mutants": self.mutants.iter().map(tallies).collect::<Vec<_>>(),
            "sound": self.sound.iter().map(tallies).collect::<Vec<_>>(),
            "recall": pooled(&self.mutants, |tally| tally.named),
            "false_alarms": pooled(&self.sound, |tally| tally.other),
            "runs": self.outcomes,
        })
    }
}

fn share(count: usize, runs: usize) -> String {
    if runs == 0 { "-".into() } else { format!("{count}/{runs}") }
}

fn interval(tally: &Tally, count: usize) -> String {
    tally.interval(count).map_or("-".into(), |of| format!("{:.1} - {:.1} %", of.low * 100.0, of.high * 100.0))
}
