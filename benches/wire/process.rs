//! The processes of the brokers: the listener, which the bench starts, and their processor time.

use std::{
    fs, io,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

/// A broker that listens at an address of this machine.
pub struct Broker {
    pub address: SocketAddr,
    process: u32,
    /// The listener. It ends with the bench.
    child: Option<Child>,
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Broker {
    /// The broker that listens there.
    pub fn at(address: SocketAddr) -> io::Result<Broker> {
        TcpStream::connect(address)?;
        let process = listening(address.port())?;
        Ok(Broker {
            address,
            process,
            child: None,
        })
    }

    /// Builds the example `amqp_listener`, and starts it.
    pub fn start_listener() -> Broker {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut command = Command::new(env!("CARGO"));
        let built = command
            .args(["build", "--release", "--features", "amqp"])
            .args(["--example", "amqp_listener", "--message-format=json"])
            .current_dir(&root)
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo is there");
        assert!(built.status.success(), "the listener is built");
        let messages = String::from_utf8_lossy(&built.stdout);
        let program = messages
            .lines()
            .filter(|line| line.contains("amqp_listener"))
            .find_map(|line| line.split("\"executable\":\"").nth(1)?.split('"').next())
            .expect("cargo tells where the listener is");
        let mut child = Command::new(program)
            .args(["--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the listener starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let line = lines.next().expect("it says where it listens");
        let line = line.expect("a line of text");
        let address = line.rsplit(' ').next().expect("a word");
        let address = address.parse().expect("an address");
        // It prints a line for each connection.
        std::thread::spawn(move || lines.for_each(drop));
        Broker {
            address,
            process: child.id(),
            child: Some(child),
        }
    }

    /// The processor time of all its threads that live, in nanoseconds.
    pub fn processor_time(&self) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process));
        let times = tasks.expect("it runs").filter_map(|task| {
            let schedstat = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            schedstat.split(' ').next()?.parse::<u64>().ok()
        });
        times.sum()
    }
}

/// The process that listens on a port.
fn listening(port: u16) -> io::Result<u32> {
    let socket = socket(port).ok_or(io::ErrorKind::NotFound)?;
    let link = format!("socket:[{socket}]");
    for process in fs::read_dir("/proc")?.flatten() {
        let name = process.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // Those of others may not be read.
        let Ok(files) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let mut links = files
            .flatten()
            .filter_map(|file| fs::read_link(file.path()).ok());
        if links.any(|target| target == Path::new(&link)) {
            return Ok(number);
        }
    }
    Err(io::ErrorKind::PermissionDenied.into())
}

/// The number of the socket that listens on a port.
fn socket(port: u16) -> Option<String> {
    const LISTENING: &str = "0A";
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let table = fs::read_to_string(table).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, _, state, _, _, _, _, _, socket, ..] = fields[..] else {
                continue;
            };
            let local = local.rsplit(':').next();
            let local = local.and_then(|port| u16::from_str_radix(port, 16).ok());
            if state == LISTENING && local == Some(port) {
                return Some(socket.to_owned());
            }
        }
    }
    None
}
