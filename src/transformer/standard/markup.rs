//! The little that transformers need to know of HTML and XML: words and single attributes. It
//! takes whatever authors wrote and never fails; it does not build a tree.

/// How many words a reader sees: what is between white space once markup and comments are gone.
/// As in the original, markup itself separates nothing, and scripts count.
pub(super) fn word_count(markup: &str) -> u32 {
    let mut words = 0_u32;
    let mut in_word = false;
    let mut rest = markup;
    while let Some(character) = rest.chars().next() {
        let (taken, is_space) = match character {
            '<' => match skipped(rest) {
                Some(taken) => {
                    rest = &rest[taken..];
                    continue;
                }
                None => (1, false),
            },
            '&' => reference(rest),
            _ => (character.len_utf8(), character.is_whitespace()),
        };
        if !is_space && !in_word {
            words = words.saturating_add(1);
        }
        in_word = !is_space;
        rest = &rest[taken..];
    }
    words
}

/// The value of an attribute of the first element `tag`, as it is written.
pub(super) fn attribute<'m>(markup: &'m str, tag: &str, attribute: &str) -> Option<&'m str> {
    let begins = markup.match_indices(tag).map(|(at, _)| at);
    let mut elements = begins.filter(|at| {
        let follows = markup[at + tag.len()..].chars().next();
        markup[..*at].ends_with('<') && follows.is_some_and(|next| !is_name(next))
    });
    let element = &markup[elements.next()? + tag.len()..];
    let mut rest = element;
    loop {
        rest = rest.trim_start();
        let name_end = rest.find(|next| !is_name(next)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(name_end);
        let value = after.trim_start().strip_prefix('=')?.trim_start();
        let quote = value
            .chars()
            .next()
            .filter(|quote| ['"', '\''].contains(quote))?;
        let (value, after) = value[1..].split_once(quote)?;
        if name == attribute {
            return Some(value);
        }
        rest = after;
    }
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || ['_', '-', '.', ':'].contains(&character)
}

/// How many bytes at a `<` are no text; `None` where it is just a character.
fn skipped(markup: &str) -> Option<usize> {
    let until = |end: &str| markup.find(end).map_or(markup.len(), |at| at + end.len());
    if markup.starts_with("<!--") {
        return Some(until("-->"));
    }
    let after = markup[1..].chars().next()?;
    if ['!', '?'].contains(&after) {
        return Some(until(">"));
    }
    if !after.is_ascii_alphabetic() && after != '/' {
        return None;
    }
    // A `>` within quotes does not end the tag.
    let mut quote = None;
    for (at, character) in markup.char_indices() {
        match (quote, character) {
            (None, '>') => return Some(at + 1),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
    }
    Some(markup.len())
}

/// How many bytes a reference such as `&nbsp;` has, and whether it stands for white space.
fn reference(markup: &str) -> (usize, bool) {
    const LONGEST: usize = 32;

    let end = markup.bytes().take(LONGEST).position(|byte| byte == b';');
    let Some(name) = end.and_then(|end| markup.get(1..end)) else {
        return (1, false);
    };
    if name.is_empty()
        || !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'#')
    {
        return (1, false);
    }
    let code = name.strip_prefix('#').and_then(|code| {
        let hexadecimal = code.strip_prefix(['x', 'X']);
        match hexadecimal {
            Some(code) => u32::from_str_radix(code, 16).ok(),
            None => code.parse().ok(),
        }
    });
    let is_space = match code {
        Some(code) => char::from_u32(code).is_some_and(char::is_whitespace),
        None => ["nbsp", "ensp", "emsp", "thinsp"].contains(&name),
    };
    (name.len() + 2, is_space)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_as_a_reader_sees_them() {
        for (markup, expected) in [
            ("", 0),
            (" \n", 0),
            ("one", 1),
            ("<p>one two</p>", 2),
            ("<p>one</p><p>same</p>", 1),
            ("<p>one</p>\n<p>two</p>", 2),
            ("one<!-- two three -->", 1),
            ("one <!-- two", 1),
            ("one <!-- two > three --> four", 2),
            (r#"<a title="a > b">one</a>"#, 1),
            ("<!DOCTYPE html><?php x ?>one", 1),
            ("1 < 2 <3", 4),
            ("a &lt; b", 3),
            ("a&nbsp;b", 2),
            ("a&#160;b&#xA0;c&#65;d", 3),
            ("AT&T &; &&", 3),
            ("tom &amp; jerry", 3),
            ("one <unfinished two", 1),
            ("ü\u{3000}ß", 2),
        ] {
            assert_eq!(word_count(markup), expected, "{markup}");
        }
    }

    #[test]
    fn an_attribute_is_found_in_the_element_that_has_it() {
        #[track_caller]
        fn check(markup: &str, expected: Option<&str>) {
            assert_eq!(attribute(markup, "asset", "duration"), expected, "{markup}");
        }
        check(r#"<v><asset a="1" duration="2.5"/></v>"#, Some("2.5"));
        check(r"<asset duration = '7'>", Some("7"));
        check(r#"<assets duration="1"/><asset duration="2"/>"#, Some("2"));
        check(r#"<asset title="duration='3'" duration="4"/>"#, Some("4"));
        check(r#"<asset a="1"/><b duration="2"/>"#, None);
        check(r#"<v duration="1"/>"#, None);
        check("<asset duration", None);
        check("<asset", None);
        check("", None);
    }
}
