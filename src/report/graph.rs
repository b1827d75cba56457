//! A pipeline's graph: drawn with rails in the terminal, as Mermaid, as dot.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

/// A stage in a graph. Stages come after those that they need.
#[derive(Clone, Debug)]
pub struct GraphNode {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// What it takes: the port, and the index of the stage that gives it.
    pub inputs: Vec<(String, usize)>,
}

/// One stage a line. What a stage makes runs down a rail to those that need it.
#[must_use]
pub fn text(nodes: &[GraphNode]) -> String {
    let mut last_use = vec![None; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        for (_, from) in &node.inputs {
            last_use[*from] = Some(index);
        }
    }
    let mut rails: Vec<Option<usize>> = Vec::new();
    let mut lines = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let ends = |rail: &Option<usize>| rail.is_some_and(|from| last_use[from] == Some(index));
        let is_input = |rail: &Option<usize>| {
            rail.is_some_and(|from| node.inputs.iter().any(|(_, other)| *other == from))
        };
        // A stage goes on where one of its inputs ends, else on the first free rail.
        let place = rails
            .iter()
            .position(|rail| is_input(rail) && ends(rail))
            .or_else(|| rails.iter().position(Option::is_none))
            .unwrap_or_else(|| {
                rails.push(None);
                rails.len() - 1
            });
        lines.push(line(&rails, place, &is_input, &ends));
        for rail in &mut rails {
            if ends(rail) {
                *rail = None;
            }
        }
        rails[place] = last_use[index].map(|_| index);
        while rails.last().is_some_and(Option::is_none) {
            rails.pop();
        }
    }
    let width = lines.iter().map(|line| line.width()).max().unwrap_or(0);
    let names = nodes
        .iter()
        .map(|node| node.name.width())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (line, node) in lines.iter().zip(nodes) {
        let (rails, name) = (width - line.width(), names - node.name.width());
        let _ = writeln!(
            text,
            "{line}{:rails$}  {}{:name$}  {}",
            "", node.name, "", node.kind
        );
    }
    text
}

/// The rails beside a stage at `place`, with what joins it to its inputs.
fn line(
    rails: &[Option<usize>],
    place: usize,
    is_input: &dyn Fn(&Option<usize>) -> bool,
    ends: &dyn Fn(&Option<usize>) -> bool,
) -> String {
    let joined = |column: &usize| *column != place && is_input(&rails[*column]);
    let first = (0..rails.len()).find(joined).unwrap_or(place).min(place);
    let last = (0..rails.len())
        .rev()
        .find(joined)
        .unwrap_or(place)
        .max(place);
    let mut line = String::new();
    for (column, rail) in rails.iter().enumerate() {
        line.push(match (rail, joined(&column)) {
            _ if column == place => '●',
            (_, true) if column == first => {
                if ends(rail) {
                    '╰'
                } else {
                    '├'
                }
            }
            (_, true) if column == last => {
                if ends(rail) {
                    '╯'
                } else {
                    '┤'
                }
            }
            (_, true) => {
                if ends(rail) {
                    '┴'
                } else {
                    '┼'
                }
            }
            (Some(_), false) => '│',
            (None, false) if (first..last).contains(&column) => '─',
            (None, false) => ' ',
        });
        line.push(if (first..last).contains(&column) {
            '─'
        } else {
            ' '
        });
    }
    line.trim_end().to_string()
}

/// A Mermaid flow chart, which GitHub and GitLab draw.
#[must_use]
pub fn mermaid(nodes: &[GraphNode]) -> String {
    let mut text = String::from("flowchart LR\n");
    for (index, node) in nodes.iter().enumerate() {
        let _ = writeln!(
            text,
            "  s{index}[\"{}<br/><i>{}</i>\"]",
            quoted(&node.name),
            quoted(&node.kind)
        );
    }
    for (index, node) in nodes.iter().enumerate() {
        for (port, from) in &node.inputs {
            let _ = writeln!(text, "  s{from} -->|\"{}\"| s{index}", quoted(port));
        }
    }
    text
}

/// A graph for Graphviz.
#[must_use]
pub fn dot(pipeline: &str, nodes: &[GraphNode]) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = format!(
        "digraph \"{}\" {{\n  rankdir=LR;\n  node [shape=box];\n",
        escaped(pipeline)
    );
    for (index, node) in nodes.iter().enumerate() {
        let _ = writeln!(
            text,
            "  s{index} [label=\"{}\\n{}\"];",
            escaped(&node.name),
            escaped(&node.kind)
        );
    }
    for (index, node) in nodes.iter().enumerate() {
        for (port, from) in &node.inputs {
            let _ = writeln!(text, "  s{from} -> s{index} [label=\"{}\"];", escaped(port));
        }
    }
    text.push_str("}\n");
    text
}

/// A text inside quotes. Mermaid reads HTML and Markdown there, and knows no escape but entities with a `#`.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for letter in text.chars() {
        match letter {
            '"' | '#' | '&' | '<' | '>' | '`' | '*' | '\\' => {
                let _ = write!(quoted, "#{};", u32::from(letter));
            }
            _ if letter.is_control() => quoted.push(' '),
            _ => quoted.push(letter),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentiment() -> Vec<GraphNode> {
        let node = |name: &str, kind: &str, inputs: &[(&str, usize)]| GraphNode {
            name: name.into(),
            kind: kind.into(),
            inputs: inputs
                .iter()
                .map(|(port, from)| ((*port).to_string(), *from))
                .collect(),
        };
        vec![
            node("encoder", "pretrained", &[]),
            node("reviews", "dataset", &[]),
            node("clean", "preprocess", &[("tables.reviews", 1)]),
            node("split", "split", &[("table", 2)]),
            node("frozen", "freeze", &[("model", 0)]),
            node(
                "tune",
                "finetune",
                &[("model", 4), ("train", 3), ("validation", 3)],
            ),
            node("test", "evaluate", &[("model", 5), ("table", 3)]),
            node("plot", "command", &[("reviews", 1)]),
        ]
    }

    #[test]
    fn rails_lead_from_what_makes_to_what_needs() {
        insta::assert_snapshot!(text(&sentiment()), @"
        ●      encoder  pretrained
        │ ●    reviews  dataset
        │ ├─●  clean    preprocess
        │ │ ●  split    split
        ● │ │  frozen   freeze
        ●─│─┤  tune     finetune
        ●─│─╯  test     evaluate
          ●    plot     command
        ");
    }

    #[test]
    fn what_mermaid_would_read_as_its_own_is_written_as_entities() {
        let mut nodes = sentiment()[1..3].to_vec();
        nodes[1].inputs = vec![("a \"b\" <c>`#d;`\n&amp;".into(), 0)];
        let drawn = mermaid(&nodes);
        let label = "a #34;b#34; #60;c#62;#96;#35;d;#96; #38;amp;";
        let line = format!("  s0 -->|\"{label}\"| s1");
        assert_eq!(drawn.lines().last(), Some(line.as_str()));
        // A name of an instance stays as it is.
        let name = "tune@lr=1e-4,text=a%2Cb~0f3c";
        assert_eq!(quoted(name), name);
    }

    #[test]
    fn other_programs_draw_it_too() {
        insta::assert_snapshot!(mermaid(&sentiment()[..3]), @r#"
        flowchart LR
          s0["encoder<br/><i>pretrained</i>"]
          s1["reviews<br/><i>dataset</i>"]
          s2["clean<br/><i>preprocess</i>"]
          s1 -->|"tables.reviews"| s2
        "#);
        insta::assert_snapshot!(dot("a \"b\"", &sentiment()[..3]), @r#"
        digraph "a \"b\"" {
          rankdir=LR;
          node [shape=box];
          s0 [label="encoder\npretrained"];
          s1 [label="reviews\ndataset"];
          s2 [label="clean\npreprocess"];
          s1 -> s2 [label="tables.reviews"];
        }
        "#);
    }
}
