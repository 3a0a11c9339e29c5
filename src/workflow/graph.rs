//! Text of a task's or template's graph, for mermaid and for Graphviz.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::Deserialize;

/// What is drawn.
#[derive(Debug, Deserialize)]
pub struct Graph {
    #[serde(default)]
    pub title: Option<String>,
    pub nodes: Vec<Node>,
    /// Pairs of node ids, parent first.
    #[serde(default)]
    pub edges: Vec<(u32, u32)>,
}

/// A step. `state` colours it, `note` stands below its name.
#[derive(Debug, Deserialize)]
pub struct Node {
    pub id: u32,
    pub name: String,
    #[serde(default)]
    pub state: Option<String>,
    #[serde(default)]
    pub note: Option<String>,
}

/// States and their fill colours; one that is not listed is drawn plain.
const COLOURS: [(&str, &str); 9] = [
    ("pending", "#eeeeee"),
    ("enqueued", "#cfe2ff"),
    ("in_progress", "#9ec5fe"),
    ("complete", "#a3cfbb"),
    ("waiting_for_retry", "#ffe69c"),
    ("error", "#f1aeb5"),
    ("cancelled", "#ced4da"),
    ("resolved_manually", "#d1e7dd"),
    ("skipped", "#f8f9fa"),
];

/// The text of `graph` in `format`: `mermaid` (a flowchart) or `dot` (a digraph); `None` for another format.
pub fn render(graph: &Graph, format: &str) -> Option<String> {
    match format {
        "mermaid" => Some(mermaid(graph)),
        "dot" => Some(dot(graph)),
        _ => None,
    }
}

fn colour(node: &Node) -> Option<(&'static str, &'static str)> {
    COLOURS.into_iter().find(|(state, _)| Some(*state) == node.state.as_deref())
}

/// Name, state and note of a node, a line each, escaped and joined by `separator`.
fn label(node: &Node, escape: fn(&str) -> String, separator: &str) -> String {
    [Some(&node.name), node.state.as_ref(), node.note.as_ref()]
        .into_iter()
        .flatten()
        .map(|line| escape(line))
        .collect::<Vec<_>>()
        .join(separator)
}

// Writing to a String cannot fail.
macro_rules! line {
    ($text:expr, $($arg:tt)*) => { let _ = writeln!($text, $($arg)*); };
}

fn mermaid(graph: &Graph) -> String {
    let mut text = String::new();
    if let Some(title) = &graph.title {
        line!(text, "---\ntitle: \"{}\"\n---", mermaid_escape(title));
    }
    line!(text, "flowchart TD");
    for node in &graph.nodes {
        let class = colour(node).map(|(state, _)| format!(":::{state}")).unwrap_or_default();
        line!(text, "  n{}[\"{}\"]{class}", node.id, label(node, mermaid_escape, "<br/>"));
    }
    for (parent, child) in &graph.edges {
        line!(text, "  n{parent} --> n{child}");
    }
    for (state, fill) in graph.nodes.iter().filter_map(colour).collect::<BTreeSet<_>>() {
        line!(text, "  classDef {state} fill:{fill},stroke:#495057,color:#000000");
    }
    text
}

/// Mermaid's entity codes for all that is neither letter, digit, plain space nor harmless punctuation.
fn mermaid_escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        if c.is_alphanumeric() || " _-./:,()".contains(c) {
            escaped.push(c);
        } else {
            let _ = write!(escaped, "#{};", u32::from(c));
        }
        escaped
    })
}

fn dot(graph: &Graph) -> String {
    let title = graph.title.as_deref().map(dot_escape).unwrap_or_default();
    let mut text = String::new();
    line!(text, "digraph \"{title}\" {{");
    line!(text, "  node [shape=box, style=\"rounded,filled\", fillcolor=\"#ffffff\"];");
    for node in &graph.nodes {
        let fill = colour(node).map(|(_, fill)| format!(", fillcolor=\"{fill}\"")).unwrap_or_default();
        line!(text, "  n{} [label=\"{}\"{fill}];", node.id, label(node, dot_escape, "\\n"));
    }
    for (parent, child) in &graph.edges {
        line!(text, "  n{parent} -> n{child};");
    }
    line!(text, "}}");
    text
}

fn dot_escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn graph(name: &str) -> Graph {
        Graph {
            title: Some("orders".into()),
            nodes: vec![
                Node { id: 0, name: name.into(), state: Some("complete".into()), note: Some("attempt 1/3".into()) },
                Node { id: 1, name: "ship".into(), state: None, note: None },
            ],
            edges: vec![(0, 1)],
        }
    }

    #[test]
    fn mermaid_shows_names_states_notes_and_edges() {
        assert_eq!(
            render(&graph("pay"), "mermaid").unwrap_or_default(),
            "---\ntitle: \"orders\"\n---\nflowchart TD\n  n0[\"pay<br/>complete<br/>attempt 1/3\"]:::complete\n  \
             n1[\"ship\"]\n  n0 --> n1\n  classDef complete fill:#a3cfbb,stroke:#495057,color:#000000\n"
        );
    }

    #[test]
    fn dot_shows_names_states_notes_and_edges() {
        let text = render(&graph("pay"), "dot").unwrap_or_default();
        assert!(text.contains("n0 [label=\"pay\\ncomplete\\nattempt 1/3\", fillcolor=\"#a3cfbb\"];"), "{text}");
        assert!(text.contains("n0 -> n1;"), "{text}");
    }

    #[test]
    fn an_unknown_format_is_none() {
        assert_eq!(render(&graph("pay"), "png"), None);
    }

    #[test]
    fn a_graph_reads_from_json() -> Result<(), serde_json::Error> {
        let graph: Graph =
            serde_json::from_value(json!({"title": null, "nodes": [{"id": 3, "name": "a"}], "edges": []}))?;
        assert_eq!(graph.nodes[0].id, 3);
        Ok(())
    }

    proptest! {
        #[test]
        fn no_name_breaks_out_of_its_label(name in ".*") {
            let text = render(&graph(&name), "mermaid").unwrap_or_default();
            prop_assert_eq!(text.lines().count(), 8);
            prop_assert_eq!(text.matches("[\"").count(), 2);
            let text = render(&graph(&name), "dot").unwrap_or_default();
            prop_assert_eq!(text.lines().count(), 6);
        }
    }
}
