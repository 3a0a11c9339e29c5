//! Bundles `sql/` into the two pieces that frame the Rust functions in the install script, so that one function
//! can stand in one file without a line of Rust for each.
//!
//! `BEFORE` comes first (the functions written in Rust need the types), then what `#[pg_extern]` declares, then
//! `AFTER`. A name that ends in `/` stands for every `.sql` file of that folder that was not named before, in the order of
//! their names.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const BEFORE: &[&str] = &["schema.sql", "tables.sql"];
const AFTER: &[&str] =
    &["constraints.sql", "engine/", "functions/", "views/ready_tasks.sql", "views/", "dump.sql", "grants.sql"];

fn main() -> io::Result<()> {
    let sql = Path::new(&std::env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("sql");
    let out = PathBuf::from(std::env::var("OUT_DIR").map_err(io::Error::other)?);
    println!("cargo::rerun-if-changed={}", sql.display());

    // What pgrx writes between the two names no schema, and belongs into ours.
    let before = bundle(&sql, BEFORE, "set local search_path = tasker, pg_temp;", &out.join("before.sql"))?;
    let after = bundle(&sql, AFTER, "", &out.join("after.sql"))?;
    fs::write(
        out.join("sql.rs"),
        format!(
            "pgrx::extension_sql_file!({before:?}, name = \"before\", bootstrap);\n\
             pgrx::extension_sql_file!({after:?}, name = \"after\", finalize);\n"
        ),
    )
}

/// Names that are not qualified are the system's, whoever has put what into the schemas of the search path that CREATE
/// EXTENSION sets.
fn bundle(sql: &Path, order: &[&str], end: &str, to: &Path) -> io::Result<String> {
    let mut text = fs::File::create(to)?;
    let mut done = Vec::new();
    writeln!(text, "set local search_path = pg_catalog, pg_temp;")?;
    for entry in order {
        for file in expand(sql, entry)? {
            if done.contains(&file) {
                continue;
            }
            println!("cargo::rerun-if-changed={}", file.display());
            writeln!(text, "-- {}", file.strip_prefix(sql).map_err(io::Error::other)?.display())?;
            text.write_all(&fs::read(&file)?)?;
            writeln!(text)?;
            done.push(file);
        }
    }
    writeln!(text, "{end}")?;
    Ok(to.display().to_string())
}

fn expand(sql: &Path, entry: &str) -> io::Result<Vec<PathBuf>> {
    if !entry.ends_with('/') {
        return Ok(vec![sql.join(entry)]);
    }
    let mut files =
        fs::read_dir(sql.join(entry))?.map(|file| file.map(|file| file.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|ext| ext == "sql"));
    files.sort();
    Ok(files)
}
