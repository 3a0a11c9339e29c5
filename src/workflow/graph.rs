//! Templates and tasks as text that draws: Mermaid flowcharts and Graphviz digraphs.

use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

/// What to draw: `{"title", "nodes": [{"id", "name", "state", "note"}], "edges": [[parent id, child id]]}`.
#[derive(Debug, Deserialize)]
pub struct Graph {
    pub title: Option<String>,
    #[serde(default)]
    pub nodes: Vec<Node>,
    #[serde(default)]
    pub edges: Vec<(i64, i64)>,
}

/// One step. State and note stand below its name where there are any.
#[derive(Debug, Deserialize)]
pub struct Node {
    pub id: i64,
    pub name: String,
    pub state: Option<String>,
    pub note: Option<String>,
}

/// The text formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// <https://mermaid.js.org/syntax/flowchart.html>
    Mermaid,
    /// <https://graphviz.org/doc/info/lang.html>
    Dot,
}

/// Fill and line of each state. The states that need a look are the warm ones.
const COLOURS: &[(&str, &str, &str)] = &[
    ("pending", "#f3f4f6", "#9ca3af"),
    ("enqueued", "#e0f2fe", "#0284c7"),
    ("in_progress", "#bfdbfe", "#1d4ed8"),
    ("waiting_for_retry", "#fef3c7", "#d97706"),
    ("complete", "#dcfce7", "#16a34a"),
    ("error", "#fee2e2", "#dc2626"),
    ("cancelled", "#e5e7eb", "#4b5563"),
    ("resolved_manually", "#ccfbf1", "#0d9488"),
    ("skipped", "#f5f3ff", "#8b5cf6"),
];

impl Format {
    /// The format of that name.
    pub fn named(name: &str) -> Option<Format> {
        match name {
            "mermaid" => Some(Format::Mermaid),
            "dot" => Some(Format::Dot),
            _ => None,
        }
    }
}

impl Graph {
    /// The graph as text. Nodes are called `n0`, `n1`, … in their order. Edges of nodes that are not there are left out.
    pub fn text(&self, format: Format) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = match format {
            Format::Mermaid => self.write_mermaid(&mut text),
            Format::Dot => self.write_dot(&mut text),
        };
        text
    }

    fn write_mermaid(&self, to: &mut String) -> std::fmt::Result {
        if let Some(title) = &self.title {
            // A JSON string is a YAML string.
            writeln!(to, "---\ntitle: {}\n---", serde_json::Value::from(one_line(title)))?;
        }
        writeln!(to, "flowchart TD")?;
        for (place, node) in self.nodes.iter().enumerate() {
            let class = node.colours().map(|(state, ..)| format!(":::{state}")).unwrap_or_default();
            writeln!(to, "  n{place}[\"{}\"]{class}", node.label("<br/>", mermaid_text))?;
        }
        for (parent, child) in self.placed_edges() {
            writeln!(to, "  n{parent} --> n{child}")?;
        }
        let states: BTreeSet<_> = self.nodes.iter().filter_map(Node::colours).collect();
        for (state, fill, line) in states {
            writeln!(to, "  classDef {state} fill:{fill},stroke:{line},color:#111827")?;
        }
        Ok(())
    }

    fn write_dot(&self, to: &mut String) -> std::fmt::Result {
        writeln!(to, "digraph {{")?;
        if let Some(title) = &self.title {
            writeln!(to, "  label=\"{}\"; labelloc=t;", dot_text(&one_line(title)))?;
        }
        writeln!(to, "  node [shape=box, style=\"rounded,filled\", fillcolor=white];")?;
        for (place, node) in self.nodes.iter().enumerate() {
            let colours = node
                .colours()
                .map(|(_, fill, line)| format!(", fillcolor=\"{fill}\", color=\"{line}\""))
                .unwrap_or_default();
            writeln!(to, "  n{place} [label=\"{}\"{colours}];", node.label("\\n", dot_text))?;
        }
        for (parent, child) in self.placed_edges() {
            writeln!(to, "  n{parent} -> n{child};")?;
        }
        writeln!(to, "}}")
    }

    /// The edges by the places of their nodes.
    fn placed_edges(&self) -> Vec<(usize, usize)> {
        let places: HashMap<i64, usize> = self.nodes.iter().enumerate().map(|(place, node)| (node.id, place)).collect();
        let placed = |(parent, child): &(i64, i64)| Some((*places.get(parent)?, *places.get(child)?));
        self.edges.iter().filter_map(placed).collect()
    }
}

impl Node {
    fn colours(&self) -> Option<(&'static str, &'static str, &'static str)> {
        let state = self.state.as_deref()?;
        COLOURS.iter().copied().find(|(name, ..)| *name == state)
    }

    fn label(&self, line_break: &str, escaped: fn(&str) -> String) -> String {
        let parts = [Some(&self.name), self.state.as_ref(), self.note.as_ref()];
        let lines =
            parts.into_iter().flatten().flat_map(|part| part.lines()).map(one_line).filter(|line| !line.is_empty());
        lines.map(|line| escaped(&line)).collect::<Vec<_>>().join(line_break)
    }
}

/// All white space and control characters as single blanks.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// Letters, digits and blanks, of any script, stand for themselves; `_`, `-` and `.` do within a word; anything else
/// becomes an entity code, so that nothing is taken for Markdown, HTML, a comment or a directive (`%%{…}%%`).
fn mermaid_text(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut previous = ' ';
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        let within = previous.is_alphanumeric() && rest.peek().is_some_and(|next| next.is_alphanumeric());
        if c == ' ' || c.is_alphanumeric() || !c.is_ascii() || within && "_-.".contains(c) {
            text.push(c);
        } else {
            text.push_str(&format!("#{};", u32::from(c)));
        }
        previous = c;
    }
    text
}

/// For a string in double quotes, where `&` begins an HTML entity and `\` an escape.
fn dot_text(line: &str) -> String {
    line.replace('&', "&amp;").replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(id: i64, name: &str, state: Option<&str>, note: Option<&str>) -> Node {
        Node { id, name: name.into(), state: state.map(Into::into), note: note.map(Into::into) }
    }

    fn task() -> Graph {
        Graph {
            title: Some("shop/order 1.0.0, task 7: in_progress".into()),
            nodes: vec![
                node(10, "validate_order", Some("complete"), None),
                node(20, "charge", Some("waiting_for_retry"), Some("attempt 2/3")),
                node(30, "ship", Some("complete"), None),
            ],
            edges: vec![(10, 20), (10, 30), (20, 99)],
        }
    }

    fn template() -> Graph {
        Graph { title: None, nodes: vec![node(0, "a", None, None), node(1, "b", None, None)], edges: vec![(0, 1)] }
    }

    fn labelled(name: &str, format: Format) -> String {
        Graph { title: None, nodes: vec![node(0, name, None, None)], edges: vec![] }.text(format)
    }

    #[test]
    fn formats_are_found_by_name() {
        assert_eq!(Format::named("mermaid"), Some(Format::Mermaid));
        assert_eq!(Format::named("dot"), Some(Format::Dot));
        assert_eq!(Format::named("svg"), None);
    }

    #[test]
    fn a_task_is_drawn_with_the_states_that_occur() {
        let expected = r#"---
title: "shop/order 1.0.0, task 7: in_progress"
---
flowchart TD
  n0["validate_order<br/>complete"]:::complete
  n1["charge<br/>waiting_for_retry<br/>attempt 2#47;3"]:::waiting_for_retry
  n2["ship<br/>complete"]:::complete
  n0 --> n1
  n0 --> n2
  classDef complete fill:#dcfce7,stroke:#16a34a,color:#111827
  classDef waiting_for_retry fill:#fef3c7,stroke:#d97706,color:#111827
"#;
        assert_eq!(task().text(Format::Mermaid), expected);
    }

    #[test]
    fn a_task_is_drawn_in_dot() {
        let expected = r##"digraph {
  label="shop/order 1.0.0, task 7: in_progress"; labelloc=t;
  node [shape=box, style="rounded,filled", fillcolor=white];
  n0 [label="validate_order\ncomplete", fillcolor="#dcfce7", color="#16a34a"];
  n1 [label="charge\nwaiting_for_retry\nattempt 2/3", fillcolor="#fef3c7", color="#d97706"];
  n2 [label="ship\ncomplete", fillcolor="#dcfce7", color="#16a34a"];
  n0 -> n1;
  n0 -> n2;
}
"##;
        assert_eq!(task().text(Format::Dot), expected);
    }

    #[test]
    fn a_template_is_drawn_without_states() {
        assert_eq!(template().text(Format::Mermaid), "flowchart TD\n  n0[\"a\"]\n  n1[\"b\"]\n  n0 --> n1\n");
    }

    #[test]
    fn mermaid_labels_cannot_break_out() {
        let text = labelled("say \"hi\"]\n<b>#35; %%{init}%% __x__ `y` a-b 1.0 größe → a\"b]c", Format::Mermaid);
        let label = "say #34;hi#34;#93;<br/>#60;b#62;#35;35#59; #37;#37;#123;init#125;#37;#37; \
                     #95;#95;x#95;#95; #96;y#96; a-b 1.0 größe → a#34;b#93;c";
        assert_eq!(text, format!("flowchart TD\n  n0[\"{label}\"]\n"));
    }

    #[test]
    fn dot_labels_cannot_break_out() {
        let text = labelled("a \"b\" \\N\n<i>&amp;\u{7}größe", Format::Dot);
        assert!(text.contains(r#"n0 [label="a \"b\" \\N\n<i>&amp;amp; größe"];"#), "{text}");
    }

    #[test]
    fn a_title_cannot_break_out_of_the_front_matter() {
        let mut graph = template();
        graph.title = Some("x\"\n---\nflowchart LR".into());
        assert!(graph.text(Format::Mermaid).starts_with("---\ntitle: \"x\\\" --- flowchart LR\"\n---\nflowchart TD\n"));
    }

    #[test]
    fn a_state_that_nobody_knows_is_named_and_not_coloured() {
        let graph = Graph { title: None, nodes: vec![node(0, "a", Some("x]"), None)], edges: vec![] };
        assert_eq!(graph.text(Format::Mermaid), "flowchart TD\n  n0[\"a<br/>x#93;\"]\n");
    }

    proptest! {
        #[test]
        fn no_text_changes_the_lines_or_quotes(name in "(?s).*", note in "(?s).*") {
            let graph = Graph { title: Some(note.clone()), nodes: vec![node(0, &name, Some("error"), Some(&note))], edges: vec![] };
            let mermaid = graph.text(Format::Mermaid);
            prop_assert_eq!(mermaid.lines().count(), 6);
            let line = mermaid.lines().nth(4).unwrap_or_default();
            prop_assert_eq!(line.matches('"').count(), 2);
            prop_assert_eq!(line.matches(['[', ']', '{', '%', '`', '&']).count(), 2);
            prop_assert_eq!(graph.text(Format::Dot).lines().count(), 5);
        }
    }
}
