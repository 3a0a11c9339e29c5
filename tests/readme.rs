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
