use attar_learn::suite::*;
fn main() {
    let dataset = attar_data::open("digits", &attar_data::ReadOptions::default()).unwrap();
    let digits = Digits::of(&dataset).unwrap();
    for (lr, epochs, batch) in [(0.01, 5, 32), (0.02, 5, 32), (0.03, 5, 32), (0.02, 8, 32), (0.05, 8, 32), (0.02, 5, 16), (0.1, 10, 64)] {
        let setting = Setting { learning_rate: lr, epochs, batch_size: batch, ..SOUND[0].setting };
        let case = Case { name: "trial", setting, planted: None, named_by: &[] };
        for architecture in Architecture::ALL {
            let of = |seed| Run { case: &case, architecture, seed, planted: false };
            let found = outcomes(&[of(0), of(1)], &digits, 2, |_| ()).unwrap();
            println!("{lr} {epochs} {batch} {} {:.2} {:.2}", architecture.name(), found[0].accuracy, found[1].accuracy);
        }
    }
}
