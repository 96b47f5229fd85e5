//! Rows in columns that are as wide as their widest cell. Knows widths, not what cells mean.

use super::ink::{Ink, Line};

/// A table with a head.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Line>>,
}

/// On which side the cells of a column are even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

#[derive(Debug)]
struct Column {
    align: Align,
    width: usize,
}

impl Table {
    /// A table that has only a head.
    pub(super) fn new<const N: usize>(head: [(&str, Align); N]) -> Self {
        let columns = head.map(|(_, align)| Column { align, width: 0 });
        let mut table = Self {
            columns: columns.into(),
            rows: Vec::new(),
        };
        table.row(head.map(|(name, _)| Line::of(Ink::Strong, name.to_uppercase())));
        table
    }

    /// Adds a row.
    pub(super) fn row<const N: usize>(&mut self, cells: [impl Into<Line>; N]) {
        let cells = cells.map(Into::into);
        for (column, cell) in self.columns.iter_mut().zip(&cells) {
            column.width = column.width.max(cell.width());
        }
        self.rows.push(cells.into());
    }

    /// The lines as text.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.inked().map(|line| line.without_colour())
    }

    /// The lines, without spaces at their ends.
    pub(super) fn inked(&self) -> impl Iterator<Item = Line> {
        self.rows.iter().map(|row| {
            let mut line = Line::new();
            for (column, cell) in self.columns.iter().zip(row) {
                let padding = " ".repeat(column.width.saturating_sub(cell.width()));
                let (before, after) = match column.align {
                    Align::Left => ("", padding.as_str()),
                    Align::Right => (padding.as_str(), ""),
                };
                line.push(Ink::Plain, before);
                line.append(cell);
                line.push(Ink::Plain, after);
                line.push(Ink::Plain, "  ");
            }
            line.trim_end();
            line
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_a_terminal_shows_their_cells() {
        let mut table = Table::new([("course", Align::Left), ("blocks", Align::Right)]);
        table.row(["美学".to_owned(), "7".to_owned()]);
        table.row(["a\u{1b}".to_owned(), "1234567".to_owned()]);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(
            lines,
            ["COURSE    BLOCKS", "美学           7", r"a\u{1b}  1234567"]
        );
    }
}
