//! Tests that count the bytes or the threads of their process, and so need a process of their own.

use std::{alloc::System, env, process::Command};

use stats_alloc::StatsAlloc;

#[global_allocator]
pub static ALLOCATOR: StatsAlloc<System> = StatsAlloc::system();

/// This variable is set for the process that runs only one test.
const ALONE: &str = "LEVERET_ALONE";

/// Runs the body of a test in a process of its own. `name` is the path of the test, from
/// `module_path!()` on.
pub fn alone(name: &str, body: impl FnOnce()) {
    if env::var_os(ALONE).is_some() {
        return body();
    }
    let (_, name) = name.split_once("::").unwrap();
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--test-threads=1", "--nocapture"])
        .env(ALONE, "")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{said}"
    );
}
