//! Results: one JSON file a section, written by the run that measured it, and RESULTS.md, assembled from all of them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Result;

#[derive(Deserialize, Serialize)]
pub struct Section {
    pub name: String,
    pub title: String,
    /// Under which conditions, in words: name and value.
    pub conditions: Vec<(String, String)>,
    pub bars: Vec<Bar>,
    pub tables: Vec<Table>,
    /// How to read it.
    pub notes: Vec<String>,
    /// Query plans and the like: a heading and text.
    pub listings: Vec<(String, String)>,
    /// Every single measurement.
    pub samples: Vec<Value>,
}

/// A limit, and what was measured.
#[derive(Deserialize, Serialize)]
pub struct Bar {
    pub what: String,
    pub limit: String,
    pub value: String,
    pub met: bool,
}

#[derive(Deserialize, Serialize)]
pub struct Table {
    pub caption: String,
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Section {
    pub fn new(name: &str, title: &str) -> Section {
        Section {
            name: name.to_string(),
            title: title.to_string(),
            conditions: Vec::new(),
            bars: Vec::new(),
            tables: Vec::new(),
            notes: Vec::new(),
            listings: Vec::new(),
            samples: Vec::new(),
        }
    }

    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    pub fn condition(&mut self, name: &str, value: impl ToString) {
        self.conditions.push((name.to_string(), value.to_string()));
    }

    pub fn at_most(&mut self, what: impl Into<String>, limit: f64, value: f64) {
        self.bar(what.into(), format!("≤ {}", figure(limit)), value, value <= limit);
    }

    pub fn at_least(&mut self, what: impl Into<String>, limit: f64, value: f64) {
        self.bar(what.into(), format!("≥ {}", figure(limit)), value, value >= limit);
    }

    fn bar(&mut self, what: String, limit: String, value: f64, met: bool) {
        self.bars.push(Bar { what, limit, value: figure(value), met });
    }

    pub fn table(&mut self, caption: &str, head: &[&str], rows: Vec<Vec<String>>) {
        let head = head.iter().map(ToString::to_string).collect();
        self.tables.push(Table { caption: caption.to_string(), head, rows });
    }

    /// Its chapter of RESULTS.md.
    pub fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n", self.title);
        for table in &self.tables {
            text += &table.markdown();
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        for (heading, listing) in &self.listings {
            let _ = write!(text, "\n{heading}:\n\n```\n{}\n```\n", listing.trim_end());
        }
        let conditions: Vec<String> = self.conditions.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let _ = write!(text, "\nConditions: {}.\n\n", conditions.join("; "));
        text
    }
}

impl Table {
    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = format!("|{}\n", "---|".repeat(self.head.len()));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}:\n\n{}{rule}{rows}\n", self.caption, line(&self.head))
    }
}

/// Three digits that count, or whole numbers with thousands set apart.
pub fn figure(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".to_string(),
        size if size >= 1000.0 => thousands(value.round() as i64),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

pub fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

/// Writes a section's file.
pub fn save(out: &Path, section: &Section) -> Result<()> {
    let folder = out.join("results");
    fs::create_dir_all(&folder)?;
    let text = serde_json::to_string_pretty(section)?;
    Ok(fs::write(folder.join(format!("{}.json", section.name)), text + "\n")?)
}

/// Writes RESULTS.md from the files of those sections that there are.
pub fn assemble(out: &Path, names: &[&str]) -> Result<()> {
    let mut sections: Vec<Section> = Vec::new();
    for name in names {
        if let Ok(text) = fs::read_to_string(out.join(format!("results/{name}.json"))) {
            sections.push(serde_json::from_str(&text).map_err(|error| format!("results/{name}.json: {error}"))?);
        }
    }
    Ok(fs::write(out.join("RESULTS.md"), document(&sections))?)
}

fn document(sections: &[Section]) -> String {
    let mut text = String::from(
        "# Results\n\n\
         Written by `make bench`; do not edit. Each chapter stands as the last run that measured it left it, under the\n\
         conditions below it. Every single measurement is in `results/`.\n\n\
         Absolute numbers differ from machine to machine. Ratios are to raw pgmq, or to what the row says, in the same\n\
         round; the median of the rounds is shown.\n\n## Limits\n\n",
    );
    let bars = sections.iter().flat_map(|section| section.bars.iter().map(move |bar| (section, bar)));
    let row = |(section, bar): (&Section, &Bar)| {
        let verdict = if bar.met { "met" } else { "**missed**" };
        vec![section.name.clone(), bar.what.clone(), bar.limit.clone(), bar.value.clone(), verdict.to_string()]
    };
    let head = ["section", "what", "limit", "measured", ""].map(str::to_string).to_vec();
    let table = Table { caption: "What it must reach".to_string(), head, rows: bars.map(row).collect() };
    text += &table.markdown();
    for section in sections {
        text += &section.markdown();
    }
    text.trim_end().to_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_count() {
        let shown: Vec<String> = [0.456, 1.0, 45.67, 456.7, 45678.9, f64::NAN].map(figure).to_vec();
        assert_eq!(shown, ["0.46", "1.00", "45.7", "457", "45,679", "–"]);
        assert_eq!(thousands(-1_234_567), "-1,234,567");
    }

    #[test]
    fn a_missed_limit_is_shown_as_missed() {
        let mut section = Section::new("chain10", "Chain of 10");
        section.at_most("CPU", 2.0, 2.5);
        section.at_least("rate", 0.55, 0.6);
        section.at_least("not measured", 0.55, f64::NAN);
        let text = document(&[section]);
        assert!(text.contains("| chain10 | CPU | ≤ 2.00 | 2.50 | **missed** |"), "{text}");
        assert!(text.contains("| chain10 | rate | ≥ 0.55 | 0.60 | met |"), "{text}");
        assert!(text.contains("| chain10 | not measured | ≥ 0.55 | – | **missed** |"), "{text}");
    }
}
