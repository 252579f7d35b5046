//! The words of a text as they are searched for, the same for both databases.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// More of one text is not searchable: a database has a limit of its own (1 MiB for a `tsvector`).
const MOST_BYTES: usize = 256 * 1024;
/// A longer word is cut.
const MOST_CHARS: usize = 100;

/// The words of a text, lower case and without the marks that one writer sets and the next leaves out: accents, Hebrew
/// points, Arabic vowels and the signs on an alef.
pub(crate) fn words(text: &str) -> Vec<String> {
    let plain: String = text
        .nfkd()
        .filter(|letter| !is_combining_mark(*letter) && !is_invisible(*letter))
        .flat_map(char::to_lowercase)
        .collect();
    let words = plain.split(|letter: char| !letter.is_alphanumeric());
    let mut bytes = 0;
    words
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().take(MOST_CHARS).collect::<String>())
        .take_while(|word| {
            bytes += word.len() + 1;
            bytes <= MOST_BYTES
        })
        .collect()
}

/// What stands inside of words and is no part of them: the tatweel that stretches Arabic letters, soft hyphens, joiners
/// and marks of direction.
fn is_invisible(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{640}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_several_scripts() {
        assert_eq!(words("Café, at 12:30!"), ["cafe", "at", "12", "30"]);
        assert_eq!(words("תודה רבה, קיבלתי."), ["תודה", "רבה", "קיבלתי"]);
        assert_eq!(words("شكرا جزيلا 🌷"), ["شكرا", "جزيلا"]);
        assert_eq!(words("'); drop table messages --"), ["drop", "table", "messages"]);
        assert!(words(" 🌷 …").is_empty());
    }

    #[test]
    fn marks_make_no_difference() {
        assert_eq!(words("שָׁלוֹם"), words("שלום"));
        assert_eq!(words("أريد"), words("اريد"));
        assert_eq!(words("شُكْرًا"), words("شكرا"));
        assert_eq!(words("شـــكرا"), words("شكرا"));
        assert_eq!(words("\u{200f}שלום\u{200e}"), words("שלום"));
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(words(&"א".repeat(1_000))[0].chars().count(), MOST_CHARS);
        let long: String = (0..100_000).map(|number| format!("w{number} ")).collect();
        assert!(words(&long).join(" ").len() <= MOST_BYTES);
    }
}
