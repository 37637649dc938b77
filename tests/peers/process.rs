//! A process whose lines are read as it prints them.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, Select, unbounded};

/// A process that prints nothing for so long hangs. It may be one that builds the example first.
const HANGS_AFTER: Duration = Duration::from_secs(300);

pub struct Process {
    name: String,
    child: Child,
    /// The lines of its output, without the space around them.
    lines: Receiver<String>,
}

impl Process {
    pub fn start(name: &str, command: &mut Command) -> Process {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = unbounded();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line.trim().to_owned());
            }
        });
        let name = name.to_owned();
        Process { name, child, lines }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn next_line(&mut self) -> String {
        let line = self.lines.recv_timeout(HANGS_AFTER);
        line.unwrap_or_else(|error| panic!("{}: no line: {error}", self.name))
    }

    /// The next line of any of the processes.
    pub fn next_line_of(processes: &[Process]) -> String {
        let mut select = Select::new();
        for process in processes {
            select.recv(&process.lines);
        }
        let name = &processes[0].name;
        let ready = select.select_timeout(HANGS_AFTER);
        let ready = ready.unwrap_or_else(|error| panic!("{name}: no line: {error}"));
        let process = &processes[ready.index()];
        let line = ready.recv(&process.lines);
        line.unwrap_or_else(|error| panic!("{name}: no line: {error}"))
    }

    /// Interrupts the process as Ctrl-C does, and waits for its end. Returns the lines that were
    /// not read yet.
    pub fn interrupt(&mut self) -> Vec<String> {
        let id = self.child.id().to_string();
        let kill = Command::new("kill").args(["-INT", &id]).status().unwrap();
        assert!(kill.success(), "{} ended by itself", self.name);
        self.rest()
    }

    /// Waits for the end of the process, which ends by itself. Returns the lines that were not read
    /// yet.
    pub fn finish(mut self) -> Vec<String> {
        self.rest()
    }

    fn rest(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(HANGS_AFTER) {
                Ok(line) => rest.push(line),
                Err(error) if error.is_timeout() => panic!("{} does not end", self.name),
                Err(_) => break,
            }
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{}: {status}, {rest:?}", self.name);
        rest
    }
}

impl Drop for Process {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
