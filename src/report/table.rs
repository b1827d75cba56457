//! Text tables: columns as wide as their widest cell, two spaces between them.

use std::fmt::Write as _;

use anstyle::Style;
use unicode_width::UnicodeWidthStr as _;

use super::line::wrap;
use super::visible::visible;

/// On which side the text of a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// One cell.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell in `style`.
    #[must_use]
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self {
            text: visible(&text.into()).into_owned(),
            style,
        }
    }

    fn width(&self) -> usize {
        self.text.width()
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::new())
    }
}

/// A table with a head.
#[derive(Clone, Debug)]
pub struct Table {
    head: Vec<(Cell, Align)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table with these columns.
    #[must_use]
    pub fn new(columns: impl IntoIterator<Item = (impl Into<String>, Align)>) -> Self {
        let bold = Style::new().bold();
        let columns = columns.into_iter();
        Self::with_head(columns.map(|(title, align)| (Cell::styled(title, bold), align)))
    }

    /// The same with titles in styles of their own.
    #[must_use]
    pub fn with_head(columns: impl IntoIterator<Item = (Cell, Align)>) -> Self {
        Self {
            head: columns.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; cells that are missing stay empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether it has no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many columns of a terminal it takes.
    #[must_use]
    pub fn width(&self) -> usize {
        let gaps = 2 * self.head.len().saturating_sub(1);
        self.widths().iter().sum::<usize>() + gaps
    }

    /// The same as [`render`](Self::render) for a terminal of `width` columns: what stands last in a row that is wider stands below it.
    #[must_use]
    pub fn render_within(&self, width: Option<usize>) -> String {
        const INDENT: usize = 4;
        let Some(width) = width.filter(|width| self.width() > *width) else {
            return self.render();
        };
        let last = self.head.len().saturating_sub(1);
        let before: usize = self.widths()[..last].iter().map(|width| width + 2).sum();
        let is_long = |row: &Vec<Cell>| {
            row.get(last)
                .is_some_and(|cell| before + cell.width() > width)
        };
        let mut short = self.clone();
        for row in short.rows.iter_mut().filter(|row| is_long(row)) {
            row.truncate(last);
        }
        let text = short.render();
        let mut lines = text.split_inclusive('\n');
        let heads = text.lines().count() - self.rows.len();
        let mut text: String = lines.by_ref().take(heads).collect();
        for (row, line) in self.rows.iter().zip(lines) {
            text.push_str(line);
            for cell in row.iter().skip(last).filter(|_| is_long(row)) {
                let style = cell.style;
                for part in wrap(&cell.text, width.saturating_sub(INDENT)) {
                    let _ = writeln!(text, "{:INDENT$}{style}{part}{style:#}", "");
                }
            }
        }
        text
    }

    /// The table as lines with ANSI styles, each ended by a newline.
    #[must_use]
    pub fn render(&self) -> String {
        let widths = self.widths();
        let aligns: Vec<Align> = self.head.iter().map(|(_, align)| *align).collect();
        let head: Vec<Cell> = self.head.iter().map(|(cell, _)| cell.clone()).collect();
        let titled = head.iter().any(|cell| !cell.text.is_empty());
        titled
            .then_some(&head)
            .into_iter()
            .chain(&self.rows)
            .map(|cells| line(cells, &widths, &aligns))
            .collect()
    }

    fn widths(&self) -> Vec<usize> {
        (0..self.head.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells
                    .map(Cell::width)
                    .chain([self.head[column].0.width()])
                    .max()
                    .unwrap_or(0)
            })
            .collect()
    }
}

fn line(cells: &[Cell], widths: &[usize], aligns: &[Align]) -> String {
    let mut text = String::new();
    // Spaces are held back until a cell follows, so that no line ends in blanks.
    let mut gap = 0;
    for ((cell, width), align) in cells.iter().zip(widths).zip(aligns) {
        let padding = width - cell.width();
        if *align == Align::Right {
            gap += padding;
        }
        if !cell.text.is_empty() {
            text.extend(std::iter::repeat_n(' ', gap));
            gap = 0;
            let (on, off) = (cell.style.render(), cell.style.render_reset());
            let _ = write!(text, "{on}{}{off}", cell.text);
        }
        if *align == Align::Left {
            gap += padding;
        }
        gap += 2;
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_no_line_ends_in_blanks() {
        let mut table = Table::new([
            ("stage", Align::Left),
            ("accuracy", Align::Right),
            ("why", Align::Left),
        ]);
        table.row(["tune".into(), "0.7543".into(), "new".into()]);
        table.row(["評価".into(), "".into(), "".into()]);
        table.row(["a-long-name".into(), "1".into()]);
        let text = anstream::adapter::strip_str(&table.render()).to_string();
        assert_eq!(
            text,
            "stage        accuracy  why\ntune           0.7543  new\n評価\na-long-name         1\n"
        );
        assert_eq!(table.width(), "stage        accuracy  why".len());
    }

    #[test]
    fn what_does_not_fit_stands_below() {
        let mut table = Table::new([("stage", Align::Left), ("", Align::Left)]);
        table.row(["tune".into(), "rate: 0.1 → 0.2, and much else".into()]);
        table.row(["test".into(), "new".into()]);
        let plain = |width| anstream::adapter::strip_str(&table.render_within(width)).to_string();
        assert_eq!(
            plain(Some(20)),
            "stage\ntune\n    rate: 0.1 → 0.2,\n    and much else\ntest   new\n"
        );
        assert_eq!(plain(None), plain(Some(100)));
        assert_eq!(plain(None).lines().count(), 3);
    }

    #[test]
    fn a_table_without_titles_has_no_head() {
        let mut table = Table::new([("", Align::Left), ("", Align::Left)]);
        assert!(table.is_empty());
        table.row(["epochs".into(), "10".into()]);
        assert_eq!(table.render(), "epochs  10\n");
    }
}
