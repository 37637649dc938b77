//! Python with the packages of the programs, in a folder of its own.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

/// A virtual environment of Python.
pub struct Python {
    program: PathBuf,
}

impl Python {
    /// Makes the environment, or uses that of an earlier run. `None` if that cannot be done here.
    pub fn install() -> Option<Python> {
        // The tests of this program run at the same time.
        static INSTALLING: Mutex<()> = Mutex::new(());
        let _installing = INSTALLING.lock().ok()?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
        let program = folder.join(if cfg!(windows) {
            "Scripts/python.exe"
        } else {
            "bin/python"
        });
        let installed = folder.join("installed.txt");
        let wanted = include_str!("requirements.txt");
        if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
            return Some(Python { program });
        }
        let mut venv = Command::new("python3");
        succeeds(venv.args(["-m", "venv", "--clear"]).arg(&folder))?;
        let mut pip = Command::new(&program);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ]);
        succeeds(pip.arg(programs().join("requirements.txt")))?;
        fs::write(installed, wanted).ok()?;
        Some(Python { program })
    }

    /// One of the programs, which talks to the broker at `url`.
    pub fn program(&self, name: &str, arguments: &[&str], url: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["-u", "-W", "ignore"])
            .arg(programs().join(name));
        command.args(arguments).env("AMQP_URL", url);
        command
    }
}

/// The folder of the programs.
fn programs() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers"))
}

fn succeeds(command: &mut Command) -> Option<()> {
    command.status().ok()?.success().then_some(())
}
