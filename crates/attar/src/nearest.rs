//! What the user probably meant.

/// Names less alike than this (Jaro-Winkler, from 0 to 1) are not suggested.
const ALIKE: f64 = 0.8;

/// The name most like `word`, if any is like it.
pub(crate) fn nearest<T: AsRef<str>>(word: &str, names: impl IntoIterator<Item = T>) -> Option<T> {
    let alike = names.into_iter().map(|name| (strsim::jaro_winkler(word, name.as_ref()), name));
    let best = alike.filter(|(likeness, _)| *likeness >= ALIKE).max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_words_are_found_and_others_are_not() {
        let names = ["latent", "label-column", "learning-rate", "epochs"];
        let check = |word, expected| assert_eq!(nearest(word, names), expected, "{word}");
        check("latnet", Some("latent"));
        check("learning_rate", Some("learning-rate"));
        check("epoch", Some("epochs"));
        check("zzz", None);
    }
}
