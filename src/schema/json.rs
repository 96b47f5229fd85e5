//! JSON as it is kept in a repository: short values on one line, long ones a line per part, so
//! that a change shows as a small difference. It must not know what the values mean.

use serde_json::Value;

/// The longest line that is not broken, in bytes, where it can be broken at all.
const WIDTH: usize = 100;

/// `value` as text that ends with a line break.
pub(super) fn print(value: &Value) -> String {
    let mut text = String::new();
    push(&mut text, value, 0, 0);
    text.push('\n');
    text
}

/// Numbers as they are after having been written and read back, so that they can be compared with
/// such.
pub(super) fn settled(value: &Value) -> serde_json::Result<Value> {
    serde_json::from_str(&value.to_string())
}

/// `before` is what the line holds beside the indentation.
fn push(text: &mut String, value: &Value, indent: usize, before: usize) {
    let line = value.to_string();
    let is_short = indent + before + line.len() <= WIDTH;
    match value {
        Value::Array(values) if !is_short => {
            text.push('[');
            for (number, value) in values.iter().enumerate() {
                begin_line(text, number, indent + 1);
                push(text, value, indent + 1, 1);
            }
            end(text, indent, ']');
        }
        Value::Object(values) if !is_short => {
            text.push('{');
            for (number, (name, value)) in values.iter().enumerate() {
                begin_line(text, number, indent + 1);
                let name = format!("{}: ", Value::from(name.as_str()));
                text.push_str(&name);
                push(text, value, indent + 1, name.len() + 1);
            }
            end(text, indent, '}');
        }
        _ => text.push_str(&line),
    }
}

fn begin_line(text: &mut String, number: usize, indent: usize) {
    text.push_str(if number == 0 { "\n" } else { ",\n" });
    text.extend(std::iter::repeat_n(' ', indent));
}

fn end(text: &mut String, indent: usize, bracket: char) {
    text.push('\n');
    text.extend(std::iter::repeat_n(' ', indent));
    text.push(bracket);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_fits_stays_on_a_line_and_all_of_it_is_read_back() {
        let long = "x".repeat(60);
        let value = json!({"short": [1, 2], "long": [[&long, 1.5], {"a\"b": &long}], "none": {}});
        let printed = print(&value);
        assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), value);
        let expected = format!(
            "{{\n \"long\": [\n  [\"{long}\",1.5],\n  {{\"a\\\"b\":\"{long}\"}}\n ],\n \
             \"none\": {{}},\n \"short\": [1,2]\n}}\n"
        );
        assert_eq!(printed, expected);
    }
}
