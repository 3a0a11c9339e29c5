//! What the README shows works as it stands there.

use std::fs;
use std::io::Write;
use std::process::Stdio;

mod common;
use common::{Cluster, project, server_program};

/// The ```sql blocks below a heading, up to the next one of the same level, as one script.
fn sql_below(heading: &str, text: &str) -> String {
    let section = text.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with("## "));
    let mut script = String::new();
    let mut within = false;
    for line in section {
        match line.trim() {
            "```sql" => within = true,
            "```" => within = false,
            _ if within => script = script + line + "\n",
            _ => {}
        }
    }
    script
}

#[test]
fn the_sixty_second_example_ends_complete() {
    let readme = fs::read_to_string(project("README.md")).expect("README.md can be read");
    let script = sql_below("## In sixty seconds", &readme);
    assert!(!script.is_empty(), "README.md has no ```sql block below \"## In sixty seconds\"");

    let cluster = Cluster::start("readme", &[]);
    cluster.create_empty("reader");
    if !script.to_lowercase().contains("create extension") {
        cluster.connect("reader").run("create extension tasker_pg cascade");
    }
    // One session, statement by statement, as when typed in.
    let mut psql = cluster.command(server_program("psql"), "reader");
    psql.args(["-X", "-v", "ON_ERROR_STOP=1"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut psql = psql.spawn().unwrap();
    psql.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let done = psql.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && out.contains("complete"), "{script}\nprints:\n{out}{err}");
}
