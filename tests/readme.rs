//! What the README shows works as it stands there.

use std::io::Write;
use std::process::Stdio;

mod common;
use common::{Cluster, documented, server_program};

#[test]
fn the_sixty_second_example_ends_complete() {
    let script = documented("README.md", "## In sixty seconds", "sql").concat();

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

#[test]
fn the_whole_template_of_the_templates_page_registers() {
    let definitions = documented("docs/templates.md", "## A whole template", "yaml");
    let cluster = Cluster::start("templates", &[]);
    let mut reader = cluster.create("reader");
    for definition in definitions {
        for environment in ["null", "'production'"] {
            let faults = reader.rows(&format!(
                "select path, message from tasker.validate_template($t${definition}$t$, {environment})"
            ));
            assert_eq!(faults, [""; 0], "{definition}");
        }
        assert!(reader.number(&format!("select tasker.register_template($t${definition}$t$, 'production')")) > 0);
    }
}
