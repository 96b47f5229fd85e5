//! The characters that the parts of keys are made of. Knows neither the parts nor their order.

use unicode_general_category::{GeneralCategory, get_general_category};

/// A set of characters: a part of a key is one or more of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// Word characters and `- ~ . :`, for all that comes with a `-v1` prefix.
    Key,
    /// Word characters and `- ~ . : %`, for ids and revisions after `i4x://`.
    LocationId,
    /// Word characters and `- . %`, for the slash form. It is also what names are cleaned to.
    Slash,
    /// Word characters and `- .`, for slugs and ids in libraries of the second kind.
    Slug,
    /// ASCII letters and digits and `_ - .`, for their orgs and types.
    Ascii,
}

impl Alphabet {
    /// The first character of `text` that the alphabet does not have.
    pub(super) fn first_foreign(self, text: &str) -> Option<char> {
        // Most keys are ASCII throughout.
        let is_known = |byte: &u8| ASCII[usize::from(*byte)] & self.bit() != 0;
        let known = text.as_bytes().iter().take_while(|byte| is_known(byte));
        let rest = text.get(known.count()..).unwrap_or(text);
        rest.chars().find(|character| !self.has(*character))
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    const fn has_ascii(self, byte: u8) -> bool {
        let is_sign = match self {
            Self::Key => matches!(byte, b'-' | b'~' | b'.' | b':'),
            Self::LocationId => matches!(byte, b'-' | b'~' | b'.' | b':' | b'%'),
            Self::Slash => matches!(byte, b'-' | b'.' | b'%'),
            Self::Slug | Self::Ascii => matches!(byte, b'-' | b'.'),
        };
        is_sign || byte == b'_' || byte.is_ascii_alphanumeric()
    }

    fn has(self, character: char) -> bool {
        match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() => ASCII[usize::from(byte)] & self.bit() != 0,
            _ => self != Self::Ascii && is_word_character(character),
        }
    }
}

/// For each byte, a bit for every alphabet that has the ASCII character.
static ASCII: [u8; 256] = {
    let alphabets = [
        Alphabet::Key,
        Alphabet::LocationId,
        Alphabet::Slash,
        Alphabet::Slug,
        Alphabet::Ascii,
    ];
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let mut number = 0;
        while number < alphabets.len() {
            if alphabets[number].has_ascii(byte) {
                table[byte as usize] |= alphabets[number].bit();
            }
            number += 1;
        }
        byte += 1;
    }
    table
};

/// Whether `character` is a letter or number of any script (Unicode category L or N) or `_`.
///
/// This is `\w` of Python, with which the original checks its keys. It is narrower than `\w` of
/// most regular expression libraries: combining marks and joiners are out.
///
/// Python 3.11 knows Unicode 14, this function Unicode 16: of all code points they differ on those
/// 9,392 letters and numbers that were assigned in between, which are word characters here already.
/// To refuse them would refuse a course that a platform on a newer Python accepts; to accept them
/// costs nothing, as an older platform makes no such key.
#[must_use]
pub fn is_word_character(character: char) -> bool {
    use GeneralCategory as Category;

    if character.is_ascii() {
        return character.is_ascii_alphanumeric() || character == '_';
    }
    matches!(
        get_general_category(character),
        Category::UppercaseLetter
            | Category::LowercaseLetter
            | Category::TitlecaseLetter
            | Category::ModifierLetter
            | Category::OtherLetter
            | Category::DecimalNumber
            | Category::LetterNumber
            | Category::OtherNumber
    )
}

/// A name as an id: every character other than word characters and `. % -` becomes `_`, and `_`
/// never follows `_`. An empty name stays empty.
///
/// ```
/// assert_eq!(courseblocks::clean_name("Week 3: Kepler's Laws"), "Week_3_Kepler_s_Laws");
/// ```
#[must_use]
pub fn clean_name(name: &str) -> String {
    let mut cleaned = String::with_capacity(name.len());
    for character in name.chars() {
        if character != '_' && Alphabet::Slash.has(character) {
            cleaned.push(character);
        } else if !cleaned.ends_with('_') {
            cleaned.push('_');
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_numbers_of_every_script_are_word_characters() {
        for character in [
            '_', 'a', 'Z', '7', 'ß', 'Ω', 'ж', '語', '٣', '¾', 'Ⅻ', 'ʷ', 'ª',
        ] {
            assert!(is_word_character(character), "{character:?}");
        }
    }

    #[test]
    fn marks_joiners_and_signs_are_no_word_characters() {
        for character in [
            ' ', '-', '.', '%', '\n', '\0', '\u{300}', '\u{200c}', '‿', '€', '🙂', '\u{a0}',
        ] {
            assert!(!is_word_character(character), "{character:?}");
        }
    }

    #[test]
    fn the_short_way_for_ascii_agrees_with_the_general_category() {
        for character in (0..=0x7f_u8).map(char::from) {
            let category = get_general_category(character).abbreviation();
            let expected = category.starts_with(['L', 'N']) || character == '_';
            assert_eq!(is_word_character(character), expected, "{character:?}");
        }
    }

    #[test]
    fn alphabets_differ_in_their_signs_only() {
        #[track_caller]
        fn check(alphabet: Alphabet, signs: &str) {
            let found: String = ('\0'..='\u{ff}')
                .filter(|character| !is_word_character(*character))
                .filter(|character| alphabet.has(*character))
                .collect();
            assert_eq!(found, signs);
        }
        check(Alphabet::Key, "-.:~");
        check(Alphabet::LocationId, "%-.:~");
        check(Alphabet::Slash, "%-.");
        check(Alphabet::Slug, "-.");
        check(Alphabet::Ascii, "-.");
        assert_eq!(Alphabet::Ascii.first_foreign("abcé"), Some('é'));
        assert_eq!(Alphabet::Slug.first_foreign("abcé"), None);
    }

    #[test]
    fn a_cleaned_name_has_no_run_of_underscores() {
        #[track_caller]
        fn check(name: &str, cleaned: &str) {
            assert_eq!(clean_name(name), cleaned);
        }
        check("", "");
        check("Quiz 2", "Quiz_2");
        check("a _ b", "a_b");
        check("___", "_");
        check(" x ", "_x_");
        check("50% off - v1.2", "50%_off_-_v1.2");
        check("tab\tand\nnewline", "tab_and_newline");
        check("Größe", "Größe");
        // A combining accent is no word character, so the two spellings of é differ.
        check("e\u{301}t\u{e9}", "e_t\u{e9}");
    }
}
